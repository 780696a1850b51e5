"""Records, with what their runs left to look at beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks import leaderboard, lifecycle, record
from benchmarks.cubes import CUBES_FILE, Cubes
from benchmarks.record import RECORD_FILE, Record
from benchmarks.slices import SLICES_FILE, Slices

View = TypeVar("View", Slices, Cubes)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A record, and slices and cubes of its volumes where they are still there."""

    record: Record
    slices: Slices | None = None
    cubes: Cubes | None = None


def load(directory: Path) -> list[Shown]:
    """Return the records below a directory, or in a file, with what lies beside them."""
    record.read_all(directory)  # says what is wrong with a directory that holds none
    paths = [directory] if directory.is_file() else record.record_paths(directory)
    return [
        with_views(record.read(path), path.parent) if path.name == RECORD_FILE
        else Shown(record=record.read(path))
        for path in paths
    ]  # fmt: skip


def with_views(one: Record, directory: Path) -> Shown:
    """Return a record with the slices and cubes that its run left in ``directory``, if any."""
    slices, cubes = directory / SLICES_FILE, directory / CUBES_FILE
    return Shown(
        record=one,
        slices=Slices.load(slices) if slices.exists() else None,
        cubes=Cubes.load(cubes) if cubes.exists() else None,
    )


def ordered(shown: Sequence[Shown]) -> list[Shown]:
    """Return finished runs in the order of the leaderboard."""
    rank = {
        (entry.task, entry.label): number
        for number, entry in enumerate(leaderboard.entries(one.record for one in shown))
    }
    finished = [one for one in shown if not one.record.error and lifecycle.counts(one.record)]
    return sorted(finished, key=lambda s: (rank[s.record.task, s.record.label], s.record.seed))


def first_of_each(runs: Sequence[Shown]) -> list[tuple[Shown, Slices]]:
    """Return the first run of each method that has slices, and these."""
    found: dict[str, tuple[Shown, Slices]] = {}
    for one in runs:
        if one.slices is not None:
            found.setdefault(one.record.label, (one, one.slices))
    return list(found.values())
