"""A look at a pattern file: its figures, a picture, and a page."""

from pathlib import Path

from xraisim.files.patterns import PatternReader
from xraisim.inspection.figure import overview, write_figure
from xraisim.inspection.image import read_assembly
from xraisim.inspection.page import write_page
from xraisim.inspection.sampling import MOST_PATTERNS, Progress, sample
from xraisim.inspection.summary import Inspection, summarise

__all__ = ["Inspection", "inspect"]


def inspect(
    path: Path | str,
    picture: Path | str | None = None,
    *,
    page: Path | str | None = None,
    most: int = MOST_PATTERNS,
    progress: Progress | None = None,
) -> Inspection:
    """Return the figures of a pattern file; write a picture (PNG) and a page (HTML) if asked.

    At most ``most`` patterns are read, evenly from the whole file; ``progress`` gets the number
    just read. Raises :class:`FormatError` if the file is not a whole pattern file.
    """
    path = Path(path)
    with PatternReader(path) as reader:
        taken = sample(reader, most, progress)
        figures = summarise(reader, taken)
        if picture is not None or page is not None:
            assembly = read_assembly(reader.files[0])
            if picture is not None:
                write_figure(overview(reader, taken, assembly), Path(picture))
            if page is not None:
                write_page(Path(page), figures, reader, taken, assembly)
    return figures
