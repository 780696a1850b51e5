"""What a run says about how it got to a resolution."""

import json
from pathlib import Path

from benchmarks.record import Effort
from xraisim.core.halves import RULE


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
        reached = one.get(f"{RULE}_angstrom")
        if reached is not None and reached <= angstrom:
            photons = patterns * photons_per_pattern
            return Effort(angstrom=angstrom, patterns=patterns, photons=photons)
    return Effort(angstrom=angstrom, patterns=None, photons=None)
