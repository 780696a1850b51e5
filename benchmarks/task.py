"""Tasks: what is simulated, and the settings of every method, of phasing and of scoring."""

import dataclasses
import re
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from baselines.emc import EmcConfig
from baselines.external.dragonfly import DragonflyConfig
from baselines.phasing.config import PhasingConfig
from benchmarks.budget import Budget
from benchmarks.comparison import ScoreConfig
from benchmarks.merge import MergeConfig
from benchmarks.record import LIVE, STATUSES, SUPERSEDED
from benchmarks.truth import check_name
from xrai.config import TrainConfig
from xraisim.core import config
from xraisim.core.errors import ConfigError, did_you_mean
from xraisim.core.settings import Count, NotNegative, OneOf, Range, Settings, require
from xraisim.simulation import config as simulation
from xraisim.simulation.config import SimulationConfig

_TASKS = Path(str(files("benchmarks"))) / "tasks"
#: what a task says of itself alone, and does not take from its base
_OWN = frozenset(
    {
        "name",
        "version",
        "summary",
        "photons_sha256",
        "photons_per_pattern",
        "photons_beyond",
        "xrai_minutes",
        "status",
        "status_reason",
        "superseded_by",
    }
)


@dataclass(frozen=True, kw_only=True)
class Task(Settings):
    """One benchmark task; ``simulate.seed`` is that of its data, whatever the seed of a run.

    ``version``: of all that is stated here; a task that changes is another version.
    ``photons_sha256``: of the patterns (:func:`xraisim.core.fingerprint.photons_sha256`), if known;
    ``photons_per_pattern`` and ``photons_beyond``: the mean of all photons and of those beyond
    s·D = 1.2 (:mod:`benchmarks.photons`); ``xrai_minutes``: of the reconstruction by method
    ``xrai`` on two cores; each 0 if not stated. ``scale``: which fraction of the patterns of the
    task before the ``@`` in its name this is (:meth:`scaled`).
    ``merge`` holds the settings of the oracle and the floor, ``methods`` those of plug-ins by their
    names, which each of them checks (:mod:`benchmarks.methods.plugin`). What ``phase`` leaves
    unset, diameter and measured range, comes with the intensity or the patterns.

    ``seeds``: how many of a method the leaderboard wants; ``budget``: of the closed division.
    ``status``: proposed, live, superseded (``superseded_by`` another task) or withdrawn, with
    ``status_reason``. These are about rows, not about data, and no part of the version.
    """

    name: str
    version: Count = 1
    summary: str
    photons_sha256: str = ""
    simulate: SimulationConfig
    xrai: TrainConfig = field(default_factory=TrainConfig)
    emc: EmcConfig = field(default_factory=EmcConfig)
    dragonfly: DragonflyConfig = field(default_factory=DragonflyConfig)
    merge: MergeConfig = field(default_factory=MergeConfig)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    phase: PhasingConfig = field(default_factory=PhasingConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    photons_per_pattern: NotNegative = 0.0
    photons_beyond: NotNegative = 0.0
    xrai_minutes: NotNegative = 0.0
    scale: Annotated[float, Range(above=0, most=1)] = 1.0
    seeds: Count = 1
    budget: Budget = field(default_factory=Budget)
    status: Annotated[str, OneOf(*STATUSES)] = LIVE
    status_reason: str = ""
    superseded_by: str = ""

    def check(self) -> None:
        """Refuse what contradicts itself: hash, name and scale, scored species, successor."""
        check_name(self.simulate.sample, self.score.species)
        stated = self.photons_sha256
        right = not stated or re.fullmatch("[0-9a-f]{64}", stated) is not None
        require(right, "photons_sha256", stated, "64 hexadecimal digits, as xrai-bench data prints")
        told = "" if self.scale == 1 else f"{self.scale:g}"
        expected = f"a name with @{told} at its end" if told else "no @, which marks a scaled task"
        require(self.name.partition("@")[2] == told, "name", self.name, expected)
        replaced, by = self.status == SUPERSEDED, self.superseded_by
        expected = "the name of a task with status superseded, else nothing"
        require(replaced == bool(by), "superseded_by", repr(by), expected)

    def scaled(self, fraction: float) -> "Task":
        """Return the task with a fraction of its patterns, called ``name@fraction``.

        Its patterns are the first ones of the whole task, and it states no hash of them. Raises
        :class:`ConfigError` for a fraction that is not above 0 and at most 1.
        """
        require(0 < fraction <= 1, "scale", fraction, "above 0 and at most 1")
        if fraction == 1:
            return self
        if self.scale != 1:
            raise ConfigError(f"{self.name} is scaled already; give --scale or the @, not both")
        patterns = max(1, round(fraction * self.simulate.patterns))
        return dataclasses.replace(
            self,
            name=f"{self.name}@{fraction:g}",
            scale=fraction,
            simulate=dataclasses.replace(self.simulate, patterns=patterns),
            photons_sha256="",
            xrai_minutes=0.0,
        )

    def photons_agree(self, found: str) -> bool | None:
        """Return whether patterns have the photons that are stated; None if none are."""
        return found == self.photons_sha256 if self.photons_sha256 and found else None


def suites() -> dict[str, list[str]]:
    """Return the names of the embedded tasks by suite, the folder that they lie in."""
    found: dict[str, list[str]] = {}
    for name, path in sorted(_embedded().items()):
        found.setdefault(path.parent.name, []).append(name)
    return {suite: found[suite] for suite in sorted(found)}


def task_names(suite: str = "") -> list[str]:
    """Return the names of the embedded tasks, or of those of a suite.

    Raises :class:`ConfigError` for an unknown suite.
    """
    if not suite:
        return sorted(_embedded())
    known = suites()
    if suite not in known:
        raise ConfigError(f"unknown suite {suite!r}; {did_you_mean(suite, list(known))}")
    return known[suite]


def _embedded() -> dict[str, Path]:
    return {path.stem: path for path in _TASKS.glob("*/*.toml")}


def load_task(name: str) -> Task:
    """Return an embedded task by name, or a task from a TOML file.

    ``quick@0.1`` is a tenth of ``quick`` (:meth:`Task.scaled`). Raises :class:`ConfigError` for an
    unknown name, with the nearest known one.
    """
    if Path(name).suffix == ".toml":
        return _read(Path(name))
    whole, _, scale = name.partition("@")
    task = _read(_path(whole))
    return task.scaled(_fraction(name, scale)) if scale else task


def _fraction(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"unknown task {name!r}; expected a fraction of the patterns behind the @, as in "
            "quick@0.1"
        ) from None


def _path(name: str) -> Path:
    """Return the file of an embedded task."""
    known = _embedded()
    if name in known:
        return known[name]
    hint = did_you_mean(name, sorted(known))
    raise ConfigError(f"unknown task {name!r}; {hint} (or give the path of a TOML file)")


def _read(path: Path) -> Task:
    mapping = config.read_toml(path)
    try:
        return from_mapping({"name": path.stem, **_completed(mapping, path.parent)})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _completed(mapping: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return a task's own keys over those of its ``base``, which has no base itself.

    The base is an embedded task, or a TOML file beside the task.
    """
    own = dict(mapping)
    base = own.pop("base", None)
    if base is None:
        return own
    if not isinstance(base, str):
        raise ConfigError(f"base is {base!r}; expected the name of a task, or of a TOML file")
    below = config.read_toml(directory / base if base.endswith(".toml") else _path(base))
    if "base" in below:
        raise ConfigError(
            f"base is {base!r}, which has the base {below['base']!r}; expected a task without one"
        )
    return _over({key: below[key] for key in below.keys() - _OWN}, own)


def _over(below: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return ``own`` over ``below``: tables key by key, everything else replaced."""
    merged = below | own
    for key in below.keys() & own.keys():
        if isinstance(below[key], dict) and isinstance(own[key], dict):
            merged[key] = _over(below[key], own[key])
    return merged


def from_mapping(mapping: dict[str, Any]) -> Task:
    """Build a task; ``simulate`` starts from its instrument's preset."""
    made = simulation.from_mapping(mapping.get("simulate", {}))
    return config.from_mapping(Task, mapping | {"simulate": config.to_mapping(made)})
