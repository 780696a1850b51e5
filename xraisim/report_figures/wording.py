"""Figures in words, as the heads and tables of the pages show them."""

from typing import Any

from xraisim.core.json_text import to_json


def figure(value: float | None, form: str) -> str:
    """Return a figure in a format, nothing where it is not known."""
    return "" if value is None else form.format(value)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def text(value: Any) -> str:
    """Return a value of a summary: numbers short, lists with commas, the rest as JSON."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(text(item) for item in value)
    return value if isinstance(value, str) else to_json(value)
