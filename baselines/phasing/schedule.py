"""Schedules of iterations, written as text: ``"2 x (45 hio, 15 er), 40 er"``."""

import re
from collections.abc import Collection

from xraisim.core.errors import ConfigError

_MOST = 100_000  # iterations; a thousand are many


def _times(digits: str) -> int:
    """Return how often something is repeated, or raise :class:`ConfigError`."""
    if len(digits.lstrip("0")) > len(str(_MOST)):
        raise ConfigError(f"phasing schedule: {digits:.20} … times; expected at most {_MOST:,}")
    return min(int(digits[-20:]), _MOST + 1)


def parse(schedule: str, known: Collection[str]) -> list[str]:
    """Return one step name per iteration for text such as ``"3 raar, 1 er"``.

    ``"2 x (45 raar, 15 er), 40 er"`` repeats what is in parentheses. Raises :class:`ConfigError`
    for a name that is not ``known``.
    """
    text = schedule.replace(" ", "")
    expanded = re.sub(
        r"(\d+)x\(([^()]*)\)", lambda m: ",".join([m.group(2)] * _times(m.group(1))), text
    )
    names: list[str] = []
    for part in expanded.split(","):
        found = re.fullmatch(r"(\d+)([a-z]+)", part)
        if not found or found.group(2) not in known:
            raise ConfigError(
                f"phasing schedule {schedule!r} has the part {part!r}; expected a number and one "
                f"of {', '.join(known)}, such as '2 x (45 raar, 15 er), 40 er'"
            )
        names += [found.group(2)] * _times(found.group(1))
        if len(names) > _MOST:
            raise ConfigError(f"phasing schedule {schedule!r:.60} has over {_MOST:,} iterations")
    if not names:
        raise ConfigError(f"phasing schedule {schedule!r} has no iterations")
    return names
