"""Tasks: what is simulated, and the settings of every method, of phasing and of scoring."""

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
from xrai.config import TrainConfig
from xraisim.core import config
from xraisim.core.errors import ConfigError, did_you_mean
from xraisim.core.settings import Count, OneOf, Settings, require
from xraisim.simulation import config as simulation
from xraisim.simulation.config import SimulationConfig

_TASKS = Path(str(files("benchmarks"))) / "tasks"


@dataclass(frozen=True, kw_only=True)
class Task(Settings):
    """One benchmark task; ``simulate.seed`` is that of its data, whatever the seed of a run.

    ``version``: of all that is stated here; a task that changes is another version.
    ``photons_sha256``: of the patterns (:func:`xraisim.core.fingerprint.photons_sha256`), if known.
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
    seeds: Count = 1
    budget: Budget = field(default_factory=Budget)
    status: Annotated[str, OneOf(*STATUSES)] = LIVE
    status_reason: str = ""
    superseded_by: str = ""

    def check(self) -> None:
        """Refuse what is no hash, and a successor of a task that has none."""
        stated = self.photons_sha256
        right = not stated or re.fullmatch("[0-9a-f]{64}", stated) is not None
        require(right, "photons_sha256", stated, "64 hexadecimal digits, as xrai-bench data prints")
        replaced, by = self.status == SUPERSEDED, self.superseded_by
        expected = "the name of a task with status superseded, else nothing"
        require(replaced == bool(by), "superseded_by", repr(by), expected)

    def photons_agree(self, found: str) -> bool | None:
        """Return whether patterns have the photons that are stated; None if none are."""
        return found == self.photons_sha256 if self.photons_sha256 and found else None


def task_names() -> list[str]:
    """Return the names of the embedded tasks."""
    return sorted(path.stem for path in _TASKS.glob("*.toml"))


def load_task(name: str) -> Task:
    """Return an embedded task by name, or a task from a TOML file.

    Raises :class:`ConfigError` for an unknown name, with the nearest known one.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return _read(path)
    if name in task_names():
        return _read(_TASKS / f"{name}.toml")
    hint = did_you_mean(name, task_names())
    raise ConfigError(f"unknown task {name!r}; {hint} (or give the path of a TOML file)")


def _read(path: Path) -> Task:
    mapping = config.read_toml(path)
    try:
        return from_mapping({"name": path.stem, **mapping})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def from_mapping(mapping: dict[str, Any]) -> Task:
    """Build a task; ``simulate`` starts from its instrument's preset."""
    made = simulation.from_mapping(mapping.get("simulate", {}))
    return config.from_mapping(Task, mapping | {"simulate": config.to_mapping(made)})
