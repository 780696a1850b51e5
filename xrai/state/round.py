"""A round: a stretch of patterns that get poses and are merged, and what round follows which.

While patterns are new (``online``) each gets a pose from nothing; where all can be read again,
further rounds go over them from the poses they have (``refine``), each as much farther out as the
half-sets agree. Where a probe shows that poses are wrong, all are searched anew
(``global_search``): small steps never take a pose out of its basin. At the end both halves share
one volume (``final``). Where patterns are read once, those that were posed before the volume stood
are located again, against the last one (``relocate``); they are not merged again.
"""

from dataclasses import dataclass

ONLINE, REFINE, GLOBAL_SEARCH = "online", "refine", "global_search"
FINAL, RELOCATE = "final", "relocate"
MOVED = 1.01  # a limit that grows by less stands still


@dataclass(frozen=True, kw_only=True)
class Round:
    """Patterns ``first`` … ``stop`` − 1, posed to the limit ``s_now`` and merged to ``s_next``.

    Limits are |s| in Å⁻¹. ``keep``: what the sums of earlier rounds still count for.
    """

    number: int
    kind: str
    first: int
    stop: int
    s_now: float
    s_next: float
    keep: float = 0.0

    @property
    def locates(self) -> bool:
        """Whether poses are found from nothing, whatever poses are held."""
        return self.kind in (ONLINE, RELOCATE)

    @property
    def searches(self) -> bool:
        """Whether poses are looked for elsewhere than where they are."""
        return self.locates or self.kind == GLOBAL_SEARCH

    @property
    def merges(self) -> bool:
        """Whether patterns are merged, and volumes made of the sums."""
        return self.kind != RELOCATE

    @property
    def compares(self) -> bool:
        """Whether the half-sets have volumes of their own, by which limits move."""
        return self.merges and self.kind != FINAL
