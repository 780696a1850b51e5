"""The budget of the closed division: what a run may take, which ends it and never steers it."""

from dataclasses import dataclass
from typing import Annotated

from benchmarks.record import CLOSED, OPEN, OVER_BUDGET
from xraisim.core.machine import Hardware
from xraisim.core.settings import OneOf, Positive, Settings

#: how long a method that its budget ended may take to leave what it has, seconds
GRACE_S = 30.0


def said(budget_s: float) -> str:
    """Return what is said of a run that a budget ended."""
    return f"{OVER_BUDGET} of {budget_s:g} s"


@dataclass(frozen=True, kw_only=True)
class Budget(Settings, table="budget"):
    """Of the reconstruction of one seed: ``seconds`` of wall time, None for a task without budget.

    ``device``: what it may run on: ``cpu`` alone, ``cuda`` (one machine with GPUs), or ``any``.
    """

    seconds: Positive | None = None
    device: Annotated[str, OneOf("any", "cpu", "cuda")] = "any"

    def division(self, limit_s: float | None, hardware: Hardware) -> str:
        """Return the division of a run that could not take longer than ``limit_s``."""
        within = self.seconds is not None and limit_s is not None and limit_s <= self.seconds
        allowed = self.device != "cpu" or not hardware.gpu
        return CLOSED if within and allowed else OPEN
