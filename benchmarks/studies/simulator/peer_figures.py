"""Figures of one simulator among others: the rate from pairs of runs, and the line of a table."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from benchmarks.studies.common import study_record
from benchmarks.studies.common.measured_command import Measured
from xraisim import console


@dataclass(frozen=True, kw_only=True)
class PeerRun:
    """What a run of any simulator tells; ``wall_s`` is the whole command, its file included."""

    patterns: int
    photons_per_pattern: float
    wall_s: float
    peak_gib: float
    bytes_per_photon: float

    @classmethod
    def of(cls, taken: Measured, patterns: int, photons: float, file: Path) -> "PeerRun":
        """Return the run of a command that wrote ``file``, which is removed."""
        size = file.stat().st_size
        file.unlink()
        return cls(
            patterns=patterns,
            photons_per_pattern=photons,
            wall_s=taken.wall_s,
            peak_gib=taken.peak_gib,
            bytes_per_photon=size / (patterns * photons),
        )


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A simulator's figures; ``patterns_per_s`` is between ``slowest`` and ``fastest``.

    None where a figure is not known: of a quoted line, measured elsewhere as ``remark`` says.
    """

    name: str
    version: str
    pixels: int
    patterns_per_s: float
    slowest: float | None = None
    fastest: float | None = None
    setup_s: float | None = None
    photons_per_pattern: float | None = None
    peak_gib: float | None = None
    bytes_per_photon: float | None = None
    remark: str = ""

    @property
    def pixels_per_s(self) -> float:
        """Kept pixels per second."""
        return self.pixels * self.patterns_per_s


def slope(small: PeerRun, large: PeerRun) -> float:
    """Return patterns per second between two runs; raises ``ValueError`` if time does not grow."""
    seconds = large.wall_s - small.wall_s
    if not seconds > 0:
        raise ValueError(
            f"{large.patterns:,} patterns took {large.wall_s:.2f} s and {small.patterns:,} took "
            f"{small.wall_s:.2f} s; the numbers are too close for so busy a machine"
        )
    return (large.patterns - small.patterns) / seconds


def take_turns(
    programs: Mapping[str, tuple[Callable[[int], PeerRun], Sequence[int]]], repeats: int
) -> dict[str, list[tuple[PeerRun, PeerRun]]]:
    """Run every program at its two numbers of patterns, one program after another, repeatedly."""
    pairs: dict[str, list[tuple[PeerRun, PeerRun]]] = {name: [] for name in programs}
    for repeat in range(repeats):
        for name, (run, (small, large)) in programs.items():
            console.say(f"{name}: {small:,} and {large:,} patterns, {repeat + 1} of {repeats}")
            pairs[name].append((run(small), run(large)))
    return pairs


def peer(
    pairs: Sequence[tuple[PeerRun, PeerRun]],
    *,
    name: str,
    version: str,
    pixels: int,
    before_s: float = 0.0,
    remark: str = "",
) -> Peer:
    """Return the medians of a program's repeats.

    The set-up is the part of a run that does not grow with the patterns, and ``before_s``, which
    was taken once before all of them.
    """
    rates = [slope(small, large) for small, large in pairs]
    large = [run for _, run in pairs]
    fixed = [run.wall_s - run.patterns / rate for run, rate in zip(large, rates, strict=True)]
    return Peer(
        name=name,
        version=version,
        pixels=pixels,
        patterns_per_s=statistics.median(rates),
        slowest=min(rates),
        fastest=max(rates),
        setup_s=before_s + statistics.median(fixed),
        photons_per_pattern=statistics.median(run.photons_per_pattern for run in large),
        peak_gib=max(run.peak_gib for run in large),
        bytes_per_photon=statistics.median(run.bytes_per_photon for run in large),
        remark=remark,
    )


def table(peers: Sequence[Peer], title: str) -> Table:
    """Return one line per simulator, remarks below; what is not known is left empty."""
    out = study_record.table(
        title,
        ("simulator", "per s", "from–to", "Mpixel/s", "set-up s", "photons", "GiB", "B/ph"),
        (
            (
                f"{row.name} {row.version}".rstrip(),
                f"{row.patterns_per_s:,.4g}",
                f"{_text(row.slowest, ',.0f')}–{_text(row.fastest, ',.0f')}" if row.fastest else "",
                f"{row.pixels_per_s / 1e6:,.3g}",
                _text(row.setup_s, ",.1f"),
                _text(row.photons_per_pattern, ",.0f"),
                _text(row.peak_gib, ".2f"),
                _text(row.bytes_per_photon, ".2f"),
            )
            for row in peers
        ),
    )
    out.caption = "\n".join(f"{row.name}: {row.remark}" for row in peers if row.remark)
    out.caption_justify = "left"
    return out


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
