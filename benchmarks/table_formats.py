"""What ``xrai-bench table`` can write: the leaderboard to be read, or the records to go on with."""

import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks import dataframe, leaderboard, lifecycle, pipeline
from benchmarks.record import Record
from xraisim.core.errors import UserError, did_you_mean
from xraisim.core.json_text import to_json

# What the fonts of LaTeX have no character for, or only with packages.
_SYMBOLS = {
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "…": r"\ldots{}",
    "–": "--",
    "°": r"$^\circ$",
    "Å": r"{\AA}",
}


def _markdown(records: Sequence[Record]) -> bytes:
    """Return the leaderboard as a page."""
    remarks = lifecycle.left_out(records)
    return leaderboard.markdown(leaderboard.entries(records), remarks).encode()


def _latex(records: Sequence[Record]) -> bytes:
    """Return one table per task, with the rules of the package booktabs."""
    found = leaderboard.entries(records)
    shown = leaderboard.columns(found)
    parts = []
    for task in dict.fromkeys(entry.task for entry in found):
        mine = [entry for entry in found if entry.task == task]
        table = pd.DataFrame(
            [leaderboard.row(entry, shown) for entry in mine],
            columns=[column.name for column in shown],
        )
        parts.append(
            table.to_latex(
                index=False,
                escape=True,
                column_format="l" + "r" * (len(shown) - 1),
                caption=_escaped(
                    f"{leaderboard.title(task)}: medians over seeds (range). "
                    f"{leaderboard.provenance(mine)}"
                ),
                label=f"tab:{task}",
            )
        )
    text = "\n".join(parts)
    for symbol, written in _SYMBOLS.items():
        text = text.replace(symbol, written)
    return text.encode()


def _escaped(text: str) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", text)


def _csv(records: Sequence[Record]) -> bytes:
    return dataframe.runs(records).to_csv(index=False).encode()


def _parquet(records: Sequence[Record]) -> bytes:
    if importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            "Parquet needs pyarrow, which is not installed; pip install 'x-rai[parquet]', or write "
            "another format: --format csv"
        )
    return bytes(dataframe.runs(records).to_parquet(engine="pyarrow", index=False))


def _json(records: Sequence[Record]) -> bytes:
    return (to_json(pipeline.summary(records), indent=1) + "\n").encode()


FORMATS: dict[str, Callable[[Sequence[Record]], bytes]] = {
    "markdown": _markdown, "csv": _csv, "latex": _latex, "parquet": _parquet, "json": _json,
}  # fmt: skip
BINARY = ("parquet",)
_SUFFIXES = {
    ".md": "markdown", ".csv": "csv", ".tex": "latex", ".parquet": "parquet", ".json": "json",
}  # fmt: skip


def choose(name: str | None, out: Path | None) -> str:
    """Return the name of the format that is asked for, or else the one that ``out`` ends in.

    Raises :class:`UserError` for one that is not known, and for bytes that would go to a terminal.
    """
    if name is None:
        name = _SUFFIXES.get(out.suffix.lower()) if out else None
        if name is None:
            raise UserError(
                f"{out} says no format by its ending ({', '.join(_SUFFIXES)}); "
                f"give one: --format {'|'.join(FORMATS)}"
            )
    if name not in FORMATS:
        raise UserError(f"unknown format {name!r}; {did_you_mean(name, FORMATS)}")
    if name in BINARY and out is None:
        raise UserError(f"{name} is no text to be printed; give a file: --out records.{name}")
    return name
