"""What a run says about itself: its summary, its warnings, and how it got to a resolution."""

import json
from pathlib import Path
from typing import Any

from benchmarks.record import Effort

_RULE = "icc_half_0.143_angstrom"


def summary(directory: Path) -> dict[str, Any]:
    """Return the summary of a run; empty where a method writes none."""
    path = directory / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def warnings(run: dict[str, Any]) -> tuple[str, ...]:
    """Return the warnings of a summary, one by one."""
    found = run.get("warnings", "")
    parts = found.split("; ") if isinstance(found, str) else found
    return tuple(part for part in parts if part)


def effort(directory: Path, angstrom: float, photons_per_pattern: float) -> Effort | None:
    """Return how many patterns were looked at until the half-sets agreed to a resolution.

    None for a method that logs no rounds.
    """
    path = directory / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rounds = [one for one in map(json.loads, lines) if one.get("event") == "round"]
    if not rounds:
        return None
    patterns = 0
    for one in rounds:
        patterns += one["patterns"]
        reached = one.get(_RULE)
        if reached is not None and reached <= angstrom:
            photons = patterns * photons_per_pattern
            return Effort(angstrom=angstrom, patterns=patterns, photons=photons)
    return Effort(angstrom=angstrom, patterns=None, photons=None)
