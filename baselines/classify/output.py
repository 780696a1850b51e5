"""What a classification leaves in its run directory."""

from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from baselines.classify.assign import Assignment
from baselines.classify.averages import Classes, on_detector
from baselines.classify.checkpoint import State
from baselines.classify.config import ClassifyConfig
from baselines.classify.kinds import Statistics
from baselines.classify.selection import CLASSES, CLASSES_FORMAT
from baselines.classify.sheet import write_sheet
from baselines.classify.stage import Stage
from xraisim import __version__
from xraisim.core import machine
from xraisim.files.atomic import whole_file
from xraisim.files.patterns import PatternReader
from xraisim.files.result import Result, write_result
from xraisim.files.texts import describe, fixed


def write_results(
    directory: Path,
    reader: PatternReader,
    stage: Stage,
    classes: Classes,
    found: Assignment,
    result: Result,
) -> None:
    """Write classes.h5, averages.h5, averages.png and result.json."""
    images, rows = _images(stage, classes), list(result.figures["classes"])
    _write_classes(directory / CLASSES, reader, found, rows)
    _write_averages(directory / "averages.h5", images, stage)
    write_sheet(directory / "averages.png", images, stage.pixels, rows, reader.files[0])
    write_result(directory, result)


def result_of(
    stage: Stage,
    rows: list[Statistics],
    state: State,
    config: ClassifyConfig,
    device: torch.device,
) -> Result:
    """Return the result of a finished classification.

    Its ``figures``: patterns without photons, ``blank``; ``iterations``; final log-likelihood per
    photon of each of the ``starts``; ``classes``, each a :class:`Statistics`.
    """
    return Result(
        method="classify",
        method_version=__version__,
        patterns=len(stage.lit),
        seconds=state.seconds,
        patterns_per_s=len(stage.lit) / state.seconds,
        d_min_angstrom=stage.d_min_angstrom,
        seed=config.seed,
        device=str(device),
        hardware=machine.hardware(device),
        figures={
            "blank": int((~stage.lit).sum()),
            "iterations": state.lines,
            "starts": tuple(state.starts),
            "classes": tuple(rows),
        },
    )


def _images(stage: Stage, classes: Classes) -> Float[Tensor, "K P"]:
    """Return expected signal photons at fluence 1 in the used pixels; class 0 has none."""
    images = on_detector(stage, classes.rate).cpu() * stage.pixels.gain
    return torch.cat([torch.zeros_like(images[:1]), images])


def _write_classes(
    path: Path, reader: PatternReader, found: Assignment, rows: list[Statistics]
) -> None:
    columns = {
        "class_id": (found.class_id.to(torch.int32), "0 blank, else the number of the average"),
        "probability": (found.probability, "of every class"),
        "angle": (found.angle, "radians, turn of the average about the beam"),
        "fluence": (found.fluence, "relative to the mean of patterns with a signal"),
        "log_likelihood_per_photon": (found.per_photon, "nats, without the sum of log k!"),
    }
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        describe(file, {"format": CLASSES_FORMAT, "patterns": str(reader.path)})
        for name, (values, units) in columns.items():
            file[name] = values.numpy()
            describe(file[name], {"units": units})
        for field in fields(Statistics):
            figures = [getattr(row, field.name) for row in rows]
            numbers = [np.nan if f is None else f for f in figures]
            file[f"statistics/{field.name}"] = fixed(figures) if field.name == "kind" else numbers


def _write_averages(path: Path, images: Float[Tensor, "K P"], stage: Stage) -> None:
    rows, columns = stage.pixels.shape
    whole = np.full((len(images), rows * columns), np.nan, np.float32)
    whole[:, stage.pixels.index.numpy()] = images.numpy()
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        describe(file, {"format": "x-rai class averages 1"})
        shape = (len(images), rows, columns)
        file.create_dataset("averages", data=whole.reshape(shape), compression="gzip")
        units = "signal photons per pixel at fluence 1; NaN where a pixel is not used"
        describe(file["averages"], {"units": units})
