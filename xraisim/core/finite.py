"""Numbers that have to stay finite while something learns."""

import math

from torch import Tensor

from xraisim.core.errors import DivergedError


def require_finite(what: str, value: float | Tensor) -> None:
    """Raise :class:`DivergedError` if a figure, or any of a tensor's, is not finite."""
    fine = bool(value.isfinite().all()) if isinstance(value, Tensor) else math.isfinite(value)
    if not fine:
        raise DivergedError(f"{what} is not finite")
