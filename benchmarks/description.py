"""What is said of a submission: ``submission.toml`` in the directory with its result."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from benchmarks.methods.registry import NAME
from benchmarks.record import CLOSED, OPEN
from benchmarks.task import Task
from xraisim.core import config
from xraisim.core.errors import ConfigError
from xraisim.core.machine import Hardware
from xraisim.core.settings import Count, OneOf, Positive, Seed, Settings, require

FILE = "submission.toml"
_ADDRESS = re.compile(r"https?://\S+|10\.\d+/\S+")  # of a page, or a DOI


@dataclass(frozen=True, kw_only=True)
class Machine(Settings, table="hardware"):
    """What it ran on; ``cores`` and ``memory_gib`` of all nodes; ``gpu`` empty without one."""

    cpu: str
    cores: Count
    memory_gib: Positive
    gpu: str = ""

    def hardware(self) -> Hardware:
        """Return it as a record has it."""
        return Hardware(**vars(self))


@dataclass(frozen=True, kw_only=True)
class Description(Settings):
    """Who made a result of which task, with what, on what machine and how long it took.

    ``code`` and ``paper``: addresses (or a DOI), one of them at least. ``license``: under which the
    files may be passed on. ``seconds``: wall time of the reconstruction, ``energy_joule`` what it
    drew, if measured, ``seed`` the method's. ``commitment``: of blind data, from ``data.json``.
    ``files``: address from which the result can be had.
    """

    method: str
    version: str
    authors: tuple[str, ...]
    contact: str
    code: str = ""
    paper: str = ""
    license: str
    files: str = ""
    task: str
    task_version: Count
    division: Annotated[str, OneOf(OPEN, CLOSED)] = OPEN
    hardware: Machine
    seconds: Positive
    energy_joule: Positive | None = None
    peak_memory_gib: Positive | None = None
    seed: Seed | None = None
    commitment: str = ""
    notes: str = ""

    def check(self) -> None:
        """Refuse what says nothing."""
        named = NAME.fullmatch(self.method) is not None
        require(named, "method", repr(self.method), "letters, digits, '.', '_' and '-'")
        for name in ("version", "contact", "license", "task"):
            told = getattr(self, name)
            require(bool(told.strip()), name, repr(told), "a text")
        told = bool(self.authors) and all(map(str.strip, self.authors))
        require(told, "authors", list(self.authors), "one name or more")
        where = [one for one in (self.code, self.paper) if one]
        right = bool(where) and all(map(_ADDRESS.fullmatch, where))
        require(right, "code or paper", repr(" ".join(where)), "an address (https://…) or a DOI")
        proof = not self.commitment or re.fullmatch("[0-9a-f]{64}", self.commitment) is not None
        require(proof, "commitment", repr(self.commitment), "64 hexadecimal digits, of data.json")

    def check_task(self, task: Task) -> None:
        """Raise :class:`ConfigError` for another task, another version, or over its budget."""
        told, asked = (self.task, self.task_version), (task.name, task.version)
        if told != asked:
            raise ConfigError(
                f"{FILE} is about version {told[1]} of {told[0]}; this is version {asked[1]} of "
                f"{asked[0]}: reconstruct the patterns of that one"
            )
        if self.division == CLOSED:
            seconds = task.budget.seconds
            if seconds is None:
                raise ConfigError(f'{task.name} states no budget; expected division = "{OPEN}"')
            if task.budget.division(self.seconds, self.hardware.hardware()) != CLOSED:
                device = {"cpu": " without a GPU"}.get(task.budget.device, "")
                raise ConfigError(
                    f"the budget of {task.name} is {seconds:g} s{device}; {FILE} states "
                    f'{self.seconds:g} s on {self.hardware.hardware()}: that is division = "{OPEN}"'
                )


def read_description(directory: Path) -> Description | None:
    """Return what is said of a submission, None where nothing is.

    Raises :class:`ConfigError` for a key that is unknown, with the nearest one, or missing.
    """
    path = directory / FILE
    return config.load(Description, path) if path.exists() else None
