"""The arithmetic of a comparison: ratios of pairs of runs, their spread, and what is slower."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: seconds of one call of each case, in one run
Times = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Change:
    """How the time of a case changed: new over old, from pairs of runs that followed each other.

    ``ratio``: the median over the pairs; ``spread``: half the distance between their quartiles;
    ``base_s``, ``head_s``: the fastest call of each commit.
    """

    name: str
    base_s: float
    head_s: float
    ratio: float
    spread: float

    def slower(self, limit: float) -> bool:
        """Return whether it is slower by more than ``limit`` (0.1: a tenth) beyond the spread."""
        return self.ratio - self.spread > 1 + limit

    def faster(self, limit: float) -> bool:
        """Return whether the old one is slower by as much."""
        return self.ratio + self.spread < 1 / (1 + limit)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two commits took: changes of what both have, names of what only one has."""

    changes: Sequence[Change]
    only_base: Sequence[str]
    only_head: Sequence[str]


def compare(base: Sequence[Times], head: Sequence[Times]) -> Comparison:
    """Return the changes from runs of ``base`` and ``head``, the same number of each, in pairs."""
    old, new = set(base[0]), set(head[0])
    return Comparison(
        changes=[
            _change(name, [run[name] for run in base], [run[name] for run in head])
            for name in head[0]
            if name in old
        ],
        only_base=sorted(old - new),
        only_head=sorted(new - old),
    )


def _change(name: str, old: Sequence[float], new: Sequence[float]) -> Change:
    ratios = np.array(new) / np.array(old)
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return Change(
        name=name,
        base_s=min(old),
        head_s=min(new),
        ratio=float(middle),
        spread=float(high - low) / 2,
    )
