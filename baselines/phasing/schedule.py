"""Schedules of iterations, written as text: ``"2 x (45 hio, 15 er), 40 er"``."""

import re
from collections.abc import Collection

from xraisim.core.errors import ConfigError


def parse(schedule: str, known: Collection[str]) -> list[str]:
    """Return one step name per iteration for text such as ``"3 raar, 1 er"``.

    ``"2 x (45 raar, 15 er), 40 er"`` repeats what is in parentheses. Raises :class:`ConfigError`
    for a name that is not ``known``.
    """
    text = schedule.replace(" ", "")
    expanded = re.sub(
        r"(\d+)x\(([^()]*)\)", lambda m: ",".join([m.group(2)] * int(m.group(1))), text
    )
    names: list[str] = []
    for part in expanded.split(","):
        found = re.fullmatch(r"(\d+)([a-z]+)", part)
        if not found or found.group(2) not in known:
            raise ConfigError(
                f"phasing schedule {schedule!r} has the part {part!r}; expected a number and one "
                f"of {', '.join(known)}, such as '2 x (45 raar, 15 er), 40 er'"
            )
        names += [found.group(2)] * int(found.group(1))
    if not names:
        raise ConfigError(f"phasing schedule {schedule!r} has no iterations")
    return names
