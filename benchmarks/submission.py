"""Score what somebody else left: a directory with a result, or a volume alone.

The record says that it is self-reported (or verified, :mod:`benchmarks.verify`): what was scored is
here, how it was made is what its maker says. It is kept in a work directory beside runs,
``<task>/<method>-<seed>-self-reported``.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks import artefacts, pipeline, record, worker
from benchmarks.comparison import Reconstruction, told_poses
from benchmarks.description import FILE, Description, read_description
from benchmarks.methods.registry import NAME
from benchmarks.record import CLOSED, OPEN, RECORD_FILE, SELF_REPORTED, Record
from benchmarks.score import Scores, score
from benchmarks.task import Task, load_task
from benchmarks.truth import check_sample, true_particle
from benchmarks.worker import Stages
from xraisim.core import config, machine
from xraisim.core.errors import ConfigError, FormatError
from xraisim.core.machine import Hardware
from xraisim.core.types import Volume
from xraisim.files.lock import new_directory
from xraisim.files.poses import stated_photons
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

    ``poses``: their file, None where there is none; ``result``: what its maker says of it, and in
    the words of its ``description``, if it has one.
    """

    path: Path
    intensity: Path
    poses: Path | None = None
    result: Result | None = None
    description: Description | None = None

    def task(self, given: Task | None) -> Task:
        """Return the task it is of: ``given``, or as the description says.

        Raises :class:`ConfigError` where nothing says it, or the two do not agree.
        """
        if given is None and self.description is None:
            raise ConfigError(f"{self.path} has no {FILE}; state the task it is of: --task")
        found = given or load_task(self.description.task if self.description else "")
        if self.description:
            self.description.check_task(found)
        return found


def score_result(
    path: Path | str,
    task: Task | None = None,
    work: Path | str = "runs/bench",
    *,
    truth: Path | str | None = None,
    method: str = "",
    notes: str = "",
    spacing: float | None = None,
) -> Record:
    """Score a directory with a result, or a file with an intensity, against the truth of a task.

    ``task``: by default the one that ``submission.toml`` in the directory is about.
    ``work``: a work directory of runs, where the task's patterns are found or made (for poses
    alone: a volume needs none), and where the record is kept. ``truth``: the truth file of the
    patterns, if they are others. ``method``: who made it; by default what the result says, else the
    name of the file. ``notes``: what its maker says. ``spacing``: of the volume in Å⁻¹, if its file
    does not say. Raises :class:`FormatError` for a result that cannot be scored, and
    :class:`ConfigError` for a method without a name, or a description that is not whole.
    """
    left, truth = read_submission(Path(path)), Path(truth) if truth else None
    return score_submission(
        left, left.task(task), Path(work), truth, method=method, notes=notes, spacing=spacing
    )


def score_submission(
    left: Submission,
    task: Task,
    work: Path,
    given: Path | None,
    *,
    method: str = "",
    notes: str = "",
    spacing: float | None = None,
    stated: Mapping[str, Any] = MappingProxyType({}),
) -> Record:
    """Score a submission as :func:`score_result` does; ``given``: the truth, if not the task's own.

    ``stated``: fields of the record that are not those of a self-reported result.
    """
    path = left.path
    if left.description and left.description.commitment and given is None:
        raise ConfigError(
            f"{path / FILE} is as it should be, of blind data: they are scored by whom they came "
            "from, with their truth (--truth)"
        )
    name = method or (
        left.result.method if left.result else (path.name if path.is_dir() else path.stem)
    )
    notes = notes or (left.description.notes if left.description else "")
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"the method is {name!r}; expected a name of letters, digits, '.', '_' and '-': state "
            "it, with --method"
        )
    intensity = read_volume(left.intensity, kind="intensity", spacing=spacing)
    measured = _measured(task)
    _check_sampling(left.intensity, intensity, measured)
    with new_directory(work):
        known, about = _truth(task, left, work, given)
        about |= stated
        _check_photons(left, task, about)
        return _Scoring(
            task=task, left=left, method=name, notes=" ".join(notes.split()), about=about
        ).record(intensity, measured, known, work)


def read_submission(path: Path) -> Submission:
    """Return what is in a directory, or a volume alone; raises as :func:`score_result`."""
    if not path.is_dir():
        return Submission(path=path, intensity=path)
    poses, described = path / POSES, read_description(path)
    result = read_result(path)
    return Submission(
        path=path,
        intensity=intensity_path(path),
        poses=poses if poses.exists() else None,
        result=result if described is None else _told(described, result),
        description=described,
    )


def _told(described: Description, result: Result | None) -> Result:
    """Return a result as the description has it, and otherwise as it says itself."""
    found = result or Result(method=described.method, seconds=described.seconds)
    return dataclasses.replace(
        found,
        method=described.method,
        method_version=described.version,
        seconds=described.seconds,
        patterns_per_s=None,
        hardware=described.hardware.hardware(),
        seed=found.seed if described.seed is None else described.seed,
        peak_memory_gib=described.peak_memory_gib or found.peak_memory_gib,
    )


def _check_photons(left: Submission, task: Task, about: dict[str, Any]) -> None:
    """Refuse poses that say that they are of other patterns."""
    known = {task.photons_sha256, about.get("photons_sha256", "")} - {""}
    if "commitment" in about:
        known.discard(task.photons_sha256)
    stated = stated_photons(left.poses) if left.poses else ""
    if stated and known and stated not in known:
        raise FormatError(
            f"{left.poses} is of patterns whose photons have the hash {stated}; expected "
            f"{' or '.join(sorted(known))}, those of {task.name}"
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
        hashes = artefacts.hashes(filter(None, (self.left.intensity, self.left.poses)))
        directory = self.directory(work)
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
        made = self._made(stages, scores, hashes)
        record.write(directory / RECORD_FILE, made)
        return made

    def directory(self, work: Path) -> Path:
        """Return where the record and what was made on the way to it are kept."""
        found = pipeline.run_directory(
            work, self.about.get("task", self.task.name), self.method, self.seed
        )
        mark = record.marks(self.about.get("origin", SELF_REPORTED), self.division)
        return found.with_name(f"{found.name}{mark}")

    @property
    def division(self) -> str:
        """As its maker says, and :meth:`Description.check_task` has checked."""
        return self.left.description.division if self.left.description else OPEN

    @property
    def seed(self) -> int:
        """The method's, 0 where it does not say."""
        told = self.left.result
        return (told.seed or 0) if told else 0

    def _made(self, stages: Stages, scores: Scores, hashes: dict[str, str]) -> Record:
        told, described = self.left.result, self.left.description
        about = {"task": self.task.name, "origin": SELF_REPORTED} | self.about
        warnings = (*about.pop("warnings", ()), *(told.warnings if told else ()))
        versions = machine.versions()
        if told and told.method_version:
            versions |= {self.method: told.method_version}
        return Record(
            **about,
            **_cost(told, about.get("patterns", 0), stages),
            energy_joule=_energy(described),
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
            notes=self.notes,
            submission=config.to_mapping(described) if described else {},
            artefacts_sha256=hashes,
            division=self.division,
            budget_s=self.task.budget.seconds if self.division == CLOSED else None,
        )


def _energy(described: Description | None) -> dict[str, float]:
    """Return what its maker says that the reconstruction used."""
    told = described.energy_joule if described else None
    return {"reconstruct": told} if told else {}


def _cost(told: Result | None, patterns: int, stages: Stages) -> dict[str, Any]:
    """Return what its maker says that it took, besides what the scoring took."""
    seconds, peak_gib, rate = dict(stages.seconds), dict(stages.peak_gib), 0.0
    if told and told.seconds > 0 and math.isfinite(told.seconds):
        seconds["reconstruct"] = told.seconds
        rate = round((patterns or told.patterns or 0) / told.seconds, 1)
    if told and told.peak_memory_gib is not None:
        peak_gib["reconstruct"] = told.peak_memory_gib
    return {"seconds": seconds, "peak_gib": peak_gib, "patterns_per_s": rate}
