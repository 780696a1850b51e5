"""What X-RAI makes of patterns that nobody selected: blanks, several particles, droplets.

``python -m benchmarks.studies.single_hits.contaminated --out work/contaminated`` simulates such a
data set, trains on all of it and, for comparison, on its single hits alone, and writes
``record.json``: the resolution, the pose errors of the single hits, and what weight was given to
each kind of shot. Run again, it goes on where it was stopped.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.comparison import TrueParticle
from benchmarks.comparison import resolution as resolution_of
from benchmarks.metrics.icc_truth import NAME as ICC
from benchmarks.metrics.icc_truth import match_intensity
from benchmarks.metrics.pose_error import pose_error
from benchmarks.studies.common import stages, study_record
from benchmarks.task import Task, from_mapping
from benchmarks.worker import truth_of
from xraisim.console import say
from xraisim.core import config as configuration
from xraisim.core.config import read_toml
from xraisim.core.json_text import to_json
from xraisim.core.symmetry import point_group
from xraisim.files.poses import read_poses
from xraisim.files.result import POSES, read_result
from xraisim.files.truth import Truth, read_truth, truth_path
from xraisim.files.volumes import read_volume
from xraisim.formats.subset import write_subset
from xraisim.photons.hits import HIT_NAMES, SINGLE

SETTINGS = Path(__file__).with_name("contaminated.toml")
_KEPT = 0.5  # weight above which a pattern is said to have been kept


def run(task: Task, directory: Path, others: dict[str, Path]) -> dict[str, Any]:
    """Run all stages in ``directory``, score ``others`` as well, and return the record."""
    record = study_record.circumstances()
    patterns = stages.simulated(task.simulate, directory / "patterns.h5")
    truth = read_truth(truth_path(patterns))
    known = truth_of(task, patterns, stages.measured_range(patterns))
    every, single = np.arange(len(truth.hits)), np.flatnonzero(truth.hits == SINGLE)
    if not (directory / "single.h5").exists():
        write_subset(patterns, single, directory / "single.h5")
    runs = {
        "all": (stages.trained(patterns, directory / "all", task.xrai), every),
        "single hits": (
            stages.trained(directory / "single.h5", directory / "single", task.xrai),
            single,
        ),
        **{name: (path, every) for name, path in others.items()},
    }
    found = {
        name: figures(path, numbers, truth, known, task) for name, (path, numbers) in runs.items()
    }
    there = np.bincount(truth.hits, minlength=len(HIT_NAMES))
    record |= {
        "shots": dict(zip(HIT_NAMES, there.tolist(), strict=True)),
        "runs": found,
        "config": configuration.to_mapping(task),
    }
    study_record.write(directory / "record.json", record)
    return record


def figures(
    directory: Path,
    numbers: np.ndarray,
    truth: Truth,
    known: TrueParticle,
    task: Task,
) -> dict[str, Any]:
    """Return how good a run of the shots ``numbers`` is: resolution, poses, weights."""
    volume, hits = read_volume(directory / "intensity.h5"), truth.hits[numbers]
    single = torch.from_numpy(hits == SINGLE)
    known = dataclasses.replace(known, orientations=known.orientations[numbers][single])
    seed = task.simulate.seed
    alignment, _, curve = match_intensity(volume, known, task.score, seed)
    poses = stages.orientations(directory)[single]
    resolution = resolution_of(curve, ICC, 0.5)
    error = pose_error(poses, known.orientations, alignment, point_group("C1"))
    return {
        "icc_truth_0.5_angstrom": resolution.angstrom,
        "reached_edge": resolution.reached_edge,
        "icc_truth": {"s_per_angstrom": curve.s_per_angstrom, "value": curve.value},
        "pose_error_deg": {
            "median": error.median_modulo_mate_deg,
            "p90": error.p90_modulo_mate_deg,
        },
        "weights": weight_figures(directory / POSES, hits),
        "warnings": told.warnings if (told := read_result(directory)) else (),
    }


def weight_figures(poses: Path, hits: np.ndarray) -> dict[str, Any] | None:
    """Return what weight each kind of shot got; None for a run without weights.

    ``purity``: the share of all weight that single hits got. ``kept``: of each kind, how many have
    a weight above a half.
    """
    columns = read_poses(poses)
    if "weight" not in columns:
        return None
    weight = columns["weight"].astype(float)
    kinds = range(len(HIT_NAMES))
    return {
        "purity": float(weight[hits == SINGLE].sum() / weight.sum()),
        "kept": {HIT_NAMES[kind]: int((weight[hits == kind] > _KEPT).sum()) for kind in kinds},
        "mean": {
            HIT_NAMES[kind]: float(weight[hits == kind].mean())
            for kind in kinds
            if (hits == kind).any()
        },
    }


def main(
    out: Annotated[Path, typer.Option(help="Work directory.")] = Path("work/contaminated"),
    config: Annotated[Path, typer.Option(help="Settings.")] = SETTINGS,
    patterns: Annotated[int | None, typer.Option(help="Shots, all kinds together.")] = None,
    other: Annotated[
        list[Path] | None,
        typer.Option("--run", help="Another run of the same patterns.h5, to be scored beside."),
    ] = None,
) -> None:
    """Run the comparison and print it."""
    mapping = read_toml(config)
    if patterns is not None:
        mapping["simulate"]["patterns"] = patterns
    task = from_mapping({"name": config.stem, "summary": "", **mapping})
    record = run(task, out, {path.name: path for path in other or []})
    shown = {
        name: {key: value for key, value in one.items() if key != "icc_truth"}
        for name, one in record["runs"].items()
    }
    typer.echo(to_json({"shots": record["shots"], "runs": shown}, indent=1))
    say(f"record in {out / 'record.json'}")


if __name__ == "__main__":
    typer.run(main)
