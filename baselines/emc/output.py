"""What a reconstruction leaves in its run directory."""

from pathlib import Path

import numpy as np
import torch

from baselines.emc.checkpoint import State
from baselines.emc.config import EmcConfig
from baselines.emc.halves import combined, half_resolution
from baselines.emc.iterate import Estimate
from baselines.emc.models import Model
from baselines.emc.orientations import oriented
from baselines.emc.stage import Stage
from xraisim import __version__
from xraisim.core import machine, so3
from xraisim.core.halves import numbers
from xraisim.core.json_text import to_json
from xraisim.files.atomic import disk_errors
from xraisim.files.patterns import PatternReader
from xraisim.files.poses import write_poses
from xraisim.files.result import HALVES, INTENSITY, POSES, Result, write_result
from xraisim.files.volumes import write_volume


class Log:
    """Appends one JSON object per iteration to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, keep: int) -> None:
        """Leave only the first ``keep`` lines, those of the iterations that are resumed."""
        path = self._path
        kept = path.read_text().splitlines(keepends=True)[:keep] if keep and path.exists() else []
        with disk_errors(path):
            path.write_text("".join(kept))

    def write(self, **values: float | int | None) -> None:
        """Append one entry."""
        with disk_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(to_json(values) + "\n")


def write_results(
    directory: Path, reader: PatternReader, stage: Stage, state: State, result: Result
) -> None:
    """Write volumes, poses and the result of a finished reconstruction."""
    estimate = combined(state.estimates, stage.chosen)
    attributes = {
        "method": "emc",
        "particle_diameter_angstrom": reader.info["particle_diameter_angstrom"],
        "s_min_per_angstrom": float(stage.pixels.radius[0]),
        "s_max_per_angstrom": float(stage.pixels.radius[-1]),
    }
    with disk_errors(directory):
        for path, model in _named(directory, estimate, state.estimates).items():
            write_volume(path, model.volume, attributes, model.exposure)
            write_volume(path.with_suffix(".mrc"), model.volume)
    write_poses(directory / POSES, _columns(stage, state, estimate), str(reader.path))
    write_result(directory, result)


def _named(directory: Path, estimate: Estimate, estimates: list[Estimate]) -> dict[Path, Model]:
    """Return what is written: the most frequent class, every class, the half-sets of the first."""
    particles = [model for model in estimate.models if not model.isotropic]
    named = {INTENSITY: max(particles, key=lambda model: model.share)}
    if len(estimate.models) > 1:
        numbered = enumerate(estimate.models, start=1)
        named |= {f"intensity_{number}.h5": model for number, model in numbered}
    if len(estimates) == 2:
        named |= {name: one.models[0] for name, one in zip(HALVES, estimates, strict=True)}
    return {directory / name: model for name, model in named.items()}


def result_of(stage: Stage, state: State, config: EmcConfig, device: torch.device) -> Result:
    """Return what a finished reconstruction says of itself.

    Its ``figures``: ``iterations``; ``rotations`` of the last level and the ``grid_spacing_deg``
    between them; ``log_likelihood_per_photon`` (nats), and that of every random start, ``starts``;
    ``shares`` of the patterns, class by class; ``occupancy``: mean probability of the best
    orientation; ``processes``, of the first of which the memory is told.
    """
    assert state.poses is not None
    assert state.evidence is not None
    patterns, rotations = int(stage.chosen.sum()), len(stage.orientations)
    both = combined(state.estimates, stage.chosen)
    return Result(
        method="emc",
        method_version=__version__,
        patterns=patterns,
        seconds=state.seconds,
        patterns_per_s=patterns / state.seconds,
        d_min_angstrom=stage.d_min_angstrom,
        resolution=half_resolution(state.estimates, stage.s_max_per_angstrom),
        seed=config.seed,
        peak_memory_gib=_peak_gib(device),
        device=str(device),
        hardware=machine.hardware(device),
        figures={
            "iterations": state.lines,
            "rotations": rotations,
            "grid_spacing_deg": float(np.rad2deg(so3.spacing(rotations))),
            "log_likelihood_per_photon": state.evidence,
            "starts": tuple(state.starts),
            "shares": tuple(model.share for model in both.models),
            "occupancy": float(state.poses.occupancy[stage.chosen].mean()),
            "processes": stage.processes.count,
        },
    )


def _peak_gib(device: torch.device) -> float:
    """Return the most memory that was in use: of the GPU if there is one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return machine.peak_gib()


def _columns(stage: Stage, state: State, estimate: Estimate) -> dict[str, np.ndarray]:
    assert state.poses is not None
    poses = state.poses
    column, angle = poses.best.unbind(1)
    found = oriented(stage.columns.frames.cpu()[column], angle, stage.columns.angles)
    columns = {
        "orientations": found.where(stage.chosen[:, None], torch.nan),
        "fluence": estimate.fluence.where(stage.chosen, torch.nan),
        "loglik": poses.loglik.float(),
        "occupancy": poses.occupancy.float(),
        "mutual_information": poses.information.float(),
        "evidence": poses.evidence.float(),
        "class_id": stage.columns.number[column].to(torch.int16) + 1,
    }
    if len(state.estimates) == 2:
        columns["half"] = numbers(len(column), 2) * stage.chosen
    return {name: values.numpy() for name, values in columns.items()}
