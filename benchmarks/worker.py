"""What happens inside one run: reconstruct, phase, score, and the record of it."""

import dataclasses
import errno
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from baselines.phasing.config import PhasingConfig
from baselines.phasing.output import write_result
from baselines.phasing.run import phase
from benchmarks import budget, photons, record
from benchmarks.comparison import TrueParticle, curve_within, read_reconstruction
from benchmarks.methods import METHODS
from benchmarks.record import RECORD_FILE, Curve, Record
from benchmarks.score import Scores, score
from benchmarks.task import Task
from benchmarks.truth import true_particle
from xraisim import stopping
from xraisim.console import progress, say
from xraisim.core import config, energy, machine
from xraisim.core.errors import UserError
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.result import Result, intensity_path
from xraisim.files.truth import read_truth, truth_path
from xraisim.files.volumes import read_attributes, read_volume
from xraisim.simulation import make

#: conditions outside the program that no further run could get around
UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})

BEGUN, MADE = "begun", "made"  # what a child tells of its reconstruction


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Simulated patterns on disk; the truth lies beside them.

    ``photons_per_pattern``, of all photons, ``photons_beyond``, of those beyond s·D = 1.2, and
    ``photons_sha256``: :class:`benchmarks.photons.PhotonCount`.
    """

    patterns: Path
    count: int
    photons_per_pattern: float
    seconds: float
    photons_sha256: str = ""
    photons_beyond: float = 0.0

    @classmethod
    def unmade(cls, task: Task) -> "Dataset":
        """Return the patterns of a task that nobody has made: nothing but how many they are."""
        return cls(
            patterns=Path(), count=task.simulate.patterns, photons_per_pattern=0.0, seconds=0.0
        )

    def note(self) -> dict[str, Any]:
        """Return what is kept beside the patterns, as plain data."""
        return dataclasses.asdict(self) | {"patterns": self.patterns.name}

    @classmethod
    def from_note(cls, directory: Path, note: dict[str, Any]) -> "Dataset":
        """Return the data set that :meth:`note` described, wherever the directory is now."""
        values = {one.name: note[one.name] for one in dataclasses.fields(cls)}
        return cls(**values | {"patterns": directory / note["patterns"]})


@dataclass(frozen=True, kw_only=True)
class Job:
    """One method on one task with one seed, the method's.

    ``budget_s``: what the reconstruction may take, None for any time; ``took_s``: what it took, of
    one that left its result when its budget ended it and has only to be scored.
    """

    task: Task
    method: str
    seed: int
    dataset: Dataset
    directory: Path
    config_hash: str
    budget_s: float | None = None
    took_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run did not finish; ``unwritable`` where the disk, not the method, was at fault."""

    message: str
    unwritable: bool = False


@dataclass
class Stages:
    """Wall time, peak memory and, where the machine tells, energy, stage by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak_gib: dict[str, float] = field(default_factory=dict)
    energy_joule: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, and say that it began."""
        say(f"  {name} …")
        started = time.perf_counter()
        with energy.measured() as used:
            yield
        self.seconds[name] = round(time.perf_counter() - started, 2)
        peak_gib = max(machine.peak_gib(), machine.peak_gib_of_children())
        self.peak_gib[name] = round(peak_gib, 3)
        if used.joule is not None:
            self.energy_joule[name] = round(used.joule, 1)


def simulate(task: Task, directory: Path) -> Dataset:
    """Simulate the patterns of a task into ``directory``."""
    wanted, path = task.simulate, directory / "patterns.h5"
    say(f"simulating {wanted.patterns:,} patterns of {task.name} …")
    started = time.perf_counter()
    with progress("patterns", wanted.patterns) as advance:
        made = make.simulate(wanted, path, progress=advance)
    seconds = round(time.perf_counter() - started, 2)
    counted = dataclasses.asdict(photons.count_photons(path))
    return Dataset(patterns=path, count=made.patterns, seconds=seconds, **counted)


def child_main(job: Job, sender: Connection) -> None:
    """Run the job, keep its record and send it back, or why there is none.

    A child process starts here. The record is written here too, so that a run whose parent was
    killed meanwhile is not lost.
    """
    outcome: Record | Failure
    tell = partial(_send, sender)
    # The parent passes on that it was told to stop; a terminal tells both by Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping.listening():
            outcome = execute(job, tell)
        record.write(job.directory / RECORD_FILE, outcome)
    except UserError as error:
        outcome = Failure(message=str(error), unwritable=_unwritable(error))
    except Exception as error:
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
        outcome = Failure(message=what, unwritable=_unwritable(error))
    except stopping.Stopped as stop:  # end as a process that does not listen ends
        signal.signal(stop.number, signal.SIG_DFL)
        signal.raise_signal(stop.number)
        return
    tell(outcome)


def _send(sender: Connection, what: Record | Failure | str) -> None:
    with suppress(BrokenPipeError):
        sender.send(what)


def _unwritable(error: BaseException) -> bool:
    """Say whether the error, or what led to it, is the system refusing to write."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in UNWRITABLE:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def execute(job: Job, tell: Callable[[str], None] = lambda what: None) -> Record:
    """Reconstruct, phase and score; only the scoring (and the oracle) opens the truth.

    ``tell`` is called with :data:`BEGUN` and :data:`MADE` when the reconstruction begins and ends.
    """
    stages, task = Stages(), job.task
    if job.took_s is None:
        tell(BEGUN)
        with stages.stage("reconstruct"):
            METHODS[job.method].reconstruct(task, job.dataset.patterns, job.directory, job.seed)
    else:
        stages.seconds["reconstruct"] = job.took_s
    tell(MADE)
    measured = _measured(job.dataset.patterns)
    s_range = measured["s_min_per_angstrom"], measured["s_max_per_angstrom"]
    path = intensity_path(job.directory)
    intensity = read_volume(path, kind="intensity")
    # A method that stopped short of the edge says in its volume how far it went.
    settings = task.phase.completed(measured | read_attributes(path))
    density, prtf = phased(intensity, settings, s_range, job.directory, job.seed, stages)
    with stages.stage("score"):
        found = read_reconstruction(job.directory, intensity, density, prtf, job.dataset.count)
        truth = truth_of(task, job.dataset.patterns, s_range)
        scores = score(found, truth, task.score, job.seed)
        scores.keep_views(job.directory)
    return _record(job, stages, scores, found.result)


def phased(
    intensity: Volume,
    settings: PhasingConfig,
    s_range: tuple[float, float],
    directory: Path,
    seed: int,
    stages: Stages,
) -> tuple[Volume, Curve]:
    """Return the density of an intensity and its PRTF; the phasing is kept in ``directory``."""
    with stages.stage("phase"):
        with progress("phasing iterations", settings.iterations) as advance:
            found = phase(intensity, settings, seed, advance)
        write_result(directory / "phasing", found, settings, seed)
        return found.density, curve_within("prtf", found.prtf_s, found.prtf, s_range)


def _measured(patterns: Path) -> dict[str, float]:
    """Return what the pattern file says of the particle (Å) and of the range of |s| (Å⁻¹)."""
    with PatternReader(patterns) as reader:
        radius = reader.pixels.radius
        return {
            "particle_diameter_angstrom": reader.info["particle_diameter_angstrom"],
            "s_min_per_angstrom": float(radius[0]),
            "s_max_per_angstrom": float(radius[-1]),
        }


def truth_of(task: Task, patterns: Path, s_range: tuple[float, float]) -> TrueParticle:
    """Return what a reconstruction of a task's patterns is scored against, within |s| in Å⁻¹."""
    known = read_truth(truth_path(patterns))
    return true_particle(task.simulate, task.score.species, s_range, known)


def _record(job: Job, stages: Stages, scores: Scores, run: Result | None) -> Record:
    warnings = run.warnings if run else ()
    if job.took_s is not None and job.budget_s is not None:
        warnings = (f"{budget.said(job.budget_s)}; this is what it left", *warnings)
    rate = job.dataset.count / max(stages.seconds["reconstruct"], 1e-9)
    return Record(
        **_identity(job, run.device if run else "cpu"),
        seconds={"simulate": job.dataset.seconds, **stages.seconds},
        peak_gib=stages.peak_gib,
        energy_joule=stages.energy_joule,
        patterns_per_s=round(rate, 1),
        metrics=scores.metrics,
        curves=scores.curves,
        trajectories=scores.trajectories,
        reliability=scores.reliability,
        warnings=warnings,
    )


def failed_record(job: Job, reason: str, seconds: float) -> Record:
    """Return the record of a run that did not finish."""
    return Record(**_identity(job), error=reason, seconds={"until failure": round(seconds, 2)})


def _identity(job: Job, device: str = "cpu") -> dict[str, Any]:
    hardware = machine.hardware(device)
    return {
        "task": job.task.name,
        "task_version": job.task.version,
        "method": job.method,
        "seed": job.seed,
        "data_seed": job.task.simulate.seed,
        "photons_sha256": job.dataset.photons_sha256,
        "photons_agree": job.task.photons_agree(job.dataset.photons_sha256),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "config_hash": job.config_hash,
        "config": config.to_mapping(job.task),
        "versions": machine.versions() | METHODS[job.method].versions(),
        "commit": record.checkout_commit(),
        "hardware": hardware,
        "division": job.task.budget.division(job.budget_s, hardware),
        "budget_s": job.budget_s,
        "patterns": job.dataset.count,
        "photons_per_pattern": job.dataset.photons_per_pattern,
        "photons_beyond": job.dataset.photons_beyond,
        "scale": job.task.scale,
    }
