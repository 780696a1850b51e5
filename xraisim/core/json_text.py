"""JSON, which every file, answer and table of the programs is written in by :func:`to_json`."""

import json
import math
from typing import Any

import numpy as np


def finite(value: Any) -> Any:
    """Return the value with None for every number, however deep, that is NaN or infinite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(value: Any, **options: Any) -> str:
    """Return ``value`` as JSON text; JSON has no NaN or infinity, so these become null.

    NumPy's numbers are written like Python's; ``options``: of :func:`json.dumps`.
    """
    return json.dumps(finite(value), allow_nan=False, **options)
