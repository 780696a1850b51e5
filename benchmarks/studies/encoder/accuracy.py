"""The encoder's pose error against training time, at several detector sizes, beside the search.

``python -m benchmarks.studies.encoder.accuracy --out runs/encoder``: patterns of the 50S subunit at
the published beam and distance, on detectors of 33² … 256² pixels that cover the encoder's reach.
Both encoders learn from the volume merged at the true poses: the polar one that the reconstruction
uses, and the image one of the published method, with eight heads. All times are CPU seconds of this
process, all errors modulo the near-symmetric mate, on patterns that took no part in training.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.merge import MergeConfig
from benchmarks.methods.oracle import oracle
from benchmarks.studies.common import study_record
from benchmarks.studies.common.stages import simulated
from benchmarks.studies.encoder.forms import ImageForm, PolarForm
from xrai.encoder import EncoderConfig
from xrai.encoder.training import encoder_pixels
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.mates import refine_hypotheses
from xrai.poses.refine import NewtonSteps
from xrai.poses.search import GridSearch
from xraisim import console
from xraisim.core.random import generator
from xraisim.core.symmetry import angle_modulo_mate
from xraisim.core.types import Photons, Pixels, Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.truth import read_truth, truth_path
from xraisim.files.volumes import read_volume
from xraisim.simulation.config import from_mapping

_WIDTH_MM = 33.0  # as far as the encoder looks
_REFINEMENTS = 3
FORMS: dict[str, type[PolarForm] | type[ImageForm]] = {"polar": PolarForm, "image": ImageForm}


@dataclass(frozen=True)
class Patterns:
    """Patterns of one detector within the encoder's reach, with their truth."""

    photons: Photons
    counts: Tensor
    pose: Tensor
    fluence: Tensor


@dataclass(frozen=True)
class Case:
    """A detector, what is learned from, and what is judged."""

    pixels: Pixels
    diameter: float
    volume: Volume
    train: Patterns
    test: Patterns


def patterns_on(folder: Path, width: int, number: int, seed: int) -> Path:
    """Return a file of patterns on a detector of ``width``² pixels, made unless it is there."""
    config = {
        "structure": "4v5d",
        "chains": "B*",
        "patterns": number,
        "seed": seed,
        "instrument": "xrai2025",
        "beam": {"photons_per_pulse": 1e13},
        "detector": {
            "rows": width,
            "columns": width,
            "pixel_size_mm": _WIDTH_MM / width,
            "s_min_per_angstrom": 0.004,
        },
        "fluence": {"distribution": "lognormal", "sigma": 0.3},
    }
    return simulated(from_mapping(config), folder / f"{width}-{seed}.h5")


def prepare(options: argparse.Namespace, width: int, config: EncoderConfig) -> Case:
    """Simulate, merge at the true poses, and cut to the encoder's reach."""
    files = [patterns_on(options.out, width, options.patterns, seed) for seed in (1, 2)]
    merged = options.out / f"{width}-oracle"
    if not (merged / "intensity.h5").exists():
        merged.mkdir(exist_ok=True)
        oracle(files[0], merged, MergeConfig())
    with PatternReader(files[0]) as reader:
        diameter = reader.info["particle_diameter_angstrom"]
        pixels = encoder_pixels(reader.pixels, diameter, config)
    train, test = (_read(path, pixels, options.patterns) for path in files)
    return Case(pixels, diameter, read_volume(merged / "intensity.h5"), train, test)


def _read(path: Path, pixels: Pixels, number: int) -> Patterns:
    truth = read_truth(truth_path(path))
    with PatternReader(path) as reader:
        photons = reader.read(0, number)
    return Patterns(
        photons,
        photons.dense(len(pixels)),
        torch.from_numpy(truth.orientations[:number]).float(),
        torch.from_numpy(truth.fluence[:number]).float(),
    )


def searched(case: Case, config: EncoderConfig, rotations: int) -> tuple[Tensor, float]:
    """Return poses by grid search and refinement within the reach, and patterns per CPU second."""
    random = generator(0, "search")
    grid = GridSearch(case.volume, case.pixels, rotations, random)
    likelihood = PoseLikelihood(case.volume, case.pixels, case.test.photons)
    steps = NewtonSteps(_REFINEMENTS, 1 / config.reach)
    began = time.process_time()
    found = refine_hypotheses(likelihood, grid.best(case.test.photons, 3), steps)
    return found.quaternion, len(case.test.pose) / (time.process_time() - began)


def trained(
    form: PolarForm | ImageForm, case: Case, budgets: list[float], search: Tensor
) -> list[dict[str, Any]]:
    """Learn until each budget of CPU seconds is used up, and judge the encoder there."""
    used, rows = 0.0, []
    for budget in budgets:
        while used < budget:
            began = time.process_time()
            form.learn(case.train.counts, case.train.pose, case.train.fluence)
            used += time.process_time() - began
        row = {"cpu_seconds": round(used, 1), "steps": form.steps}
        rows.append(row | judged(form.propose, case, search))
        console.say(f"{type(form).__name__}: {rows[-1]}")
    return rows


def judged(
    propose: Callable[[Tensor], tuple[Tensor, Tensor | None]], case: Case, search: Tensor
) -> dict[str, Any]:
    """Return the errors of the hypotheses, and the speed of inference."""
    began = time.process_time()
    heads, stated = propose(case.test.counts)
    speed = len(heads) / (time.process_time() - began)
    errors = torch.stack([angle_modulo_mate(head, case.test.pose) for head in heads.unbind(1)], 1)
    first = errors[:, 0]
    row = {
        "first_deg_median": float(first.median()),
        "first_deg_p90": float(first.quantile(0.9)),
        "first_deg_mean": float(first.mean()),
        "nearest_head_deg_median": float(errors.min(1).values.median()),
        "to_search_deg_median": float(angle_modulo_mate(heads[:, 0], search).median()),
        "inference_per_cpu_s": round(speed),
    }
    if stated is not None:
        row["stated_deg_mean"] = float(stated.mean())
        row["within_twice_stated"] = float((first < 2 * stated).float().mean())
    return row


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row per detector size."""
    config, rows = EncoderConfig(), []
    for width in options.widths:
        case = prepare(options, width, config)
        search, speed = searched(case, config, options.rotations)
        error = angle_modulo_mate(search, case.test.pose)
        row: dict[str, Any] = {
            "width": width,
            "pixels": len(case.pixels),
            "photons": float(case.test.counts.sum(1).mean()),
            "search": {
                "rotations": options.rotations,
                "deg_median": float(error.median()),
                "deg_p90": float(error.quantile(0.9)),
                "per_cpu_s": round(speed),
            },
        }
        console.say(f"{width}: search {row['search']}")
        for name in options.forms:
            form = FORMS[name](case.volume, case.pixels, config)
            row[name] = trained(form, case, options.cpu_seconds, search)
        rows.append(row)
    return rows


def _options() -> argparse.Namespace:
    parser = study_record.parser(__doc__, "runs/encoder")
    parser.add_argument("--widths", type=int, nargs="+", default=(33, 64, 128, 256))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=tuple(FORMS))
    parser.add_argument("--cpu-seconds", type=float, nargs="+", default=(10, 20, 40, 60, 120))
    parser.add_argument("--patterns", type=int, default=3000)
    parser.add_argument("--rotations", type=int, default=6000)
    return parser.parse_args()


def main() -> None:
    """Measure and write ``encoder_accuracy.json``."""
    options = _options()
    record = study_record.circumstances()
    torch.set_num_threads(1)
    record |= {"threads": 1, "rows": measure(options)}
    study_record.write(options.out / "encoder_accuracy.json", record)
    console.say(f"wrote {options.out / 'encoder_accuracy.json'}")


if __name__ == "__main__":
    main()
