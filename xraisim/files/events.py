"""``metrics.jsonl``: what a run logs, one JSON object a line, in the order in which it happens."""

from pathlib import Path
from typing import Any

from xraisim.core.errors import reading
from xraisim.core.halves import RULE
from xraisim.files.result import object_of

METRICS = "metrics.jsonl"
_FORMER = {"icc_half_angstrom": f"{RULE}_angstrom"}  # as EMC's logs of before name it


def read_events(path: Path) -> tuple[dict[str, Any], ...]:
    """Read a log of JSON objects, one a line; a last line that is still being written is left.

    Nothing if there is no file. Raises :class:`FormatError` for a line that is not a JSON object.
    """
    if not path.exists():
        return ()
    with reading(path, "file of JSON lines"):
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    found = [object_of(f"{path}, line {number}", line) for number, line in enumerate(lines, 1)]
    return tuple({_FORMER.get(name, name): value for name, value in one.items()} for one in found)
