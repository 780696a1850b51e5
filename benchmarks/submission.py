"""Score what somebody else left: a directory with a result, or a volume alone.

The record says that it is self-reported: what was scored is here, how it was made is what its maker
says. It is kept in a work directory beside runs, ``<task>/<method>-<seed>-self-reported``.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import pipeline, record, worker
from benchmarks.comparison import Reconstruction, told_poses
from benchmarks.methods.registry import NAME
from benchmarks.record import RECORD_FILE, SELF_REPORTED, Record
from benchmarks.score import Scores, score
from benchmarks.task import Task
from benchmarks.truth import check_sample, true_particle
from benchmarks.worker import Stages
from xraisim.core import config, machine
from xraisim.core.errors import ConfigError, FormatError
from xraisim.core.machine import Hardware
from xraisim.core.types import Volume
from xraisim.files.lock import new_directory
from xraisim.files.result import POSES, Result, intensity_path, read_result
from xraisim.files.truth import Truth, read_truth, truth_path
from xraisim.files.volumes import read_attributes, read_volume
from xraisim.instrument.defects import respond
from xraisim.instrument.detector import geometry
from xraisim.sample.species import conformations, load_species

_NOT_STATED = Hardware(cpu="machine not stated", cores=0, memory_gib=0.0)


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What was left: the file of the intensity, and what is beside it.

    ``poses``: their file, None where there is none; ``result``: what its maker says of it.
    """

    intensity: Path
    poses: Path | None = None
    result: Result | None = None


def score_result(
    path: Path | str,
    task: Task,
    work: Path | str = "runs/bench",
    *,
    truth: Path | str | None = None,
    method: str = "",
    notes: str = "",
    spacing: float | None = None,
) -> Record:
    """Score a directory with a result, or a file with an intensity, against the truth of a task.

    ``work``: a work directory of runs, where the task's patterns are found or made (for poses
    alone: a volume needs none), and where the record is kept. ``truth``: the truth file of the
    patterns, if they are others. ``method``: who made it; by default what the result says, else the
    name of the file. ``notes``: what its maker says. ``spacing``: of the volume in Å⁻¹, if its file
    does not say. Raises :class:`FormatError` for a result that cannot be scored, and
    :class:`ConfigError` for a method without a name.
    """
    path, work = Path(path), Path(work)
    left = _submission(path)
    name = method or (
        left.result.method if left.result else (path.name if path.is_dir() else path.stem)
    )
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"the method is {name!r}; expected a name of letters, digits, '.', '_' and '-': state "
            "it, with --method"
        )
    intensity = read_volume(left.intensity, kind="intensity", spacing=spacing)
    measured = _measured(task)
    _check_sampling(left.intensity, intensity, measured)
    with new_directory(work):
        known, about = _truth(task, left, work, Path(truth) if truth else None)
        return _Scoring(
            task=task, left=left, method=name, notes=" ".join(notes.split()), about=about
        ).record(intensity, measured, known, work)


def _submission(path: Path) -> Submission:
    if not path.is_dir():
        return Submission(intensity=path)
    poses = path / POSES
    return Submission(
        intensity=intensity_path(path),
        poses=poses if poses.exists() else None,
        result=read_result(path),
    )


def _measured(task: Task) -> dict[str, float]:
    """Return what the task's patterns say of the particle (Å) and of the range of |s| (Å⁻¹)."""
    wanted = task.simulate
    detector = respond(geometry(wanted.detector, wanted.beam), wanted.defects, wanted.seed).believed
    radius = np.linalg.norm(detector.s[detector.good], axis=1)
    return {
        "particle_diameter_angstrom": max(
            load_species(one).diameter_angstrom for one in conformations(wanted.sample)
        ),
        "s_min_per_angstrom": float(radius.min()),
        "s_max_per_angstrom": float(radius.max()),
    }


def _check_sampling(path: Path, volume: Volume, measured: dict[str, float]) -> None:
    """Refuse a spacing that cannot be that of this particle's intensity."""
    diameter, s_max = measured["particle_diameter_angstrom"], measured["s_max_per_angstrom"]
    reach = (volume.grid // 2) * volume.spacing
    if volume.spacing * diameter > 1 or reach < measured["s_min_per_angstrom"]:
        raise FormatError(
            f"{path} has {volume.grid}³ voxels {volume.spacing:.4g} Å⁻¹ apart, out to {reach:.4g} "
            f"Å⁻¹; expected an intensity with voxels of {0.5 / diameter:.2g} Å⁻¹ or less, as the "
            f"patterns reach to {s_max:.4g} Å⁻¹. Spacings are in Å⁻¹, s = 1/d without 2π: --spacing"
        )


def _truth(
    task: Task, left: Submission, work: Path, given: Path | None
) -> tuple[Truth | None, dict[str, Any]]:
    """Return the truth of the poses, None without poses; and what the record says of the patterns.

    The seed of other patterns than the task's is not told: they might be drawn again with it.
    """
    about: dict[str, Any] = {"data_seed": task.simulate.seed}
    if given is not None:
        known = read_truth(given)
        check_sample(given, known, task.simulate)
        about["patterns"] = len(known.hits)
        if known.seed != task.simulate.seed:
            about["warnings"] = ("scored against the truth of other patterns than the task's own",)
        return known, about
    if left.poses is None:
        return None, about
    dataset = pipeline.dataset(task, work)
    about["patterns"] = dataset.count
    about["photons_per_pattern"] = dataset.photons_per_pattern
    about["photons_beyond"] = dataset.photons_beyond
    about["photons_sha256"] = dataset.photons_sha256
    about["photons_agree"] = task.photons_agree(dataset.photons_sha256)
    return read_truth(truth_path(dataset.patterns)), about


@dataclass(frozen=True, kw_only=True)
class _Scoring:
    """A submission on its way to a record; ``about``: what the record says of the patterns."""

    task: Task
    left: Submission
    method: str
    notes: str
    about: dict[str, Any]

    def record(
        self, intensity: Volume, measured: dict[str, float], known: Truth | None, work: Path
    ) -> Record:
        """Phase and score, and keep the record, the slices and the phasing."""
        task, stages, seed = self.task, Stages(), self.seed
        poses: dict[str, Any] = {}
        if self.left.poses is not None and known:
            poses = told_poses(self.left.poses, len(known.hits))
        directory = pipeline.run_directory(work, task.name, self.method, seed)
        directory = directory.with_name(f"{directory.name}-{SELF_REPORTED}")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / RECORD_FILE).unlink(missing_ok=True)  # of what was scored here before
        s_range = measured["s_min_per_angstrom"], measured["s_max_per_angstrom"]
        settings = task.phase.completed(measured | read_attributes(self.left.intensity))
        density, prtf = worker.phased(intensity, settings, s_range, directory, seed, stages)
        with stages.stage("score"):
            found = Reconstruction(
                intensity=intensity,
                density=density,
                prtf=prtf,
                **poses,
                result=self.left.result,
            )
            truth = true_particle(task.simulate, task.score.species, s_range, known)
            scores = score(found, truth, task.score, seed)
            scores.keep_views(directory)
        made = self._made(stages, scores)
        record.write(directory / RECORD_FILE, made)
        return made

    @property
    def seed(self) -> int:
        """The method's, 0 where it does not say."""
        told = self.left.result
        return (told.seed or 0) if told else 0

    def _made(self, stages: Stages, scores: Scores) -> Record:
        told, about = self.left.result, dict(self.about)
        warnings = (*about.pop("warnings", ()), *(told.warnings if told else ()))
        versions = machine.versions()
        if told and told.method_version:
            versions |= {self.method: told.method_version}
        return Record(
            **about,
            **_cost(told, about.get("patterns", 0), stages),
            task=self.task.name,
            task_version=self.task.version,
            scale=self.task.scale,
            method=self.method,
            seed=self.seed,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            config_hash=pipeline.hash_of(self.task, self.seed),
            config=config.to_mapping(self.task),
            versions=versions,
            commit=record.checkout_commit(),
            hardware=(told.hardware if told else None) or _NOT_STATED,
            metrics=scores.metrics,
            curves=scores.curves,
            trajectories=scores.trajectories,
            reliability=scores.reliability,
            warnings=warnings,
            origin=SELF_REPORTED,
            notes=self.notes,
        )


def _cost(told: Result | None, patterns: int, stages: Stages) -> dict[str, Any]:
    """Return what its maker says that it took, besides what the scoring took."""
    seconds, peak_gib, rate = dict(stages.seconds), dict(stages.peak_gib), 0.0
    if told and told.seconds > 0 and math.isfinite(told.seconds):
        seconds["reconstruct"] = told.seconds
        rate = round((patterns or told.patterns or 0) / told.seconds, 1)
    if told and told.peak_memory_gib is not None:
        peak_gib["reconstruct"] = told.peak_memory_gib
    return {"seconds": seconds, "peak_gib": peak_gib, "patterns_per_s": rate}
