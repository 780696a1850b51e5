"""The resolution that a page states: never without its rule, nor as a number where data end."""

from collections.abc import Mapping, Sequence
from typing import Any

from xraisim.core.errors import SamplingError
from xraisim.core.fsc import Resolution
from xraisim.core.halves import RULE, agreement
from xraisim.core.types import Volume
from xraisim.files.result import Result
from xraisim.report_figures.run_files import figure_of

LOGGED = f"{RULE}_angstrom"


def resolution_of(
    result: Result | None,
    entries: Sequence[Mapping[str, Any]],
    halves: tuple[Volume, Volume] | None,
    s_range: tuple[float, float],
) -> Resolution | None:
    """Return how far the half-sets agree, None where nothing tells.

    As the result says, else the last of the log's ``entries`` that does, else their volumes.
    """
    if result is not None and result.resolution is not None:
        return result.resolution
    told = [entry for entry in entries if entry.get(LOGGED) is not None]
    if told:
        edge = bool(told[-1].get("reached_edge"))
        angstrom = float(figure_of(told[-1:], LOGGED)[0])
        return Resolution(rule=RULE, angstrom=angstrom, reached_edge=edge)
    if halves is None:
        return None
    try:
        found = agreement(halves, *s_range)
    except SamplingError:
        return None
    return None if found is None else found.resolution
