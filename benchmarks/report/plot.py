"""A plot of the page: a title, one figure or a choice of several, and a note."""

from dataclasses import dataclass

from benchmarks.report.style import Figure


@dataclass(frozen=True, kw_only=True)
class Plot:
    """``figures``: by the name that a reader chooses them by; ``note``: how to read them."""

    title: str
    figures: dict[str, Figure]
    note: str = ""
    wide: bool = False
