"""What a command may write to: never its own input, and nothing that is there unless told so."""

from collections.abc import Iterable
from pathlib import Path

from xraisim.core.errors import UserError
from xraisim.files.lock import only_writer
from xraisim.files.result import NAME

_PICTURES = (".html", ".png", ".svg")
# One of these in a directory says that there is something to lose.
_WORK = (NAME, "summary.json", "checkpoint.pt")


def claim(
    out: Path, inputs: Iterable[Path | None] = (), *, replace: bool, advice: str = ""
) -> None:
    """Raise :class:`UserError` if ``out`` is one of the ``inputs``, or is there.

    A directory is free unless it holds results, or a checkpoint to go on from. ``replace``: what is
    there may go. ``advice``: what else might be meant.
    """
    for source in inputs:
        if source is not None and out.exists() and source.exists() and out.samefile(source):
            raise UserError(f"{out} is what is read; write to another name")
    taken = any((out / name).exists() for name in _WORK) if out.is_dir() else out.exists()
    if taken and not replace:
        with only_writer(out):  # says so where somebody is writing it right now
            pass
        raise UserError(f"{out} is there already; {advice}write elsewhere, or replace it: --force")


def claim_picture(out: Path, inputs: Iterable[Path | None] = ()) -> None:
    """Raise as :func:`claim`, but for a page or a picture that takes the place of another one."""
    claim(out, inputs, replace=out.suffix.lower() in _PICTURES)
