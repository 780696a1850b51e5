"""What has to hold before and while a reconstruction runs: photons to go by, and finite numbers."""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from xrai.checkpoint import State
from xraisim.core.errors import DivergedError, SamplingError
from xraisim.core.types import Photons, Volume

_TELLING = 2  # photons: where one alone fell says nothing of the orientation


def require_photons(blocks: Sequence[tuple[slice, Photons]], sets: int, pixels: int) -> None:
    """Raise :class:`SamplingError` unless there are photons for poses, for every set of patterns.

    ``blocks``: the first patterns and their numbers; every ``sets``-th of the patterns is of one
    set. ``pixels``: how many, from the innermost on, are looked at.
    """
    totals = np.concatenate([photons.totals(pixels) for _, photons in blocks])
    numbers = np.concatenate([np.arange(rows.start, rows.stop) for rows, _ in blocks])
    first = f"the first {len(totals):,} patterns"
    if not (totals > 0).any():
        raise SamplingError(
            f"no photons: {first} hold none in the {pixels:,} innermost pixels; "
            "look at the file with `xrai-sim validate`"
        )
    telling = np.unique(numbers[totals >= _TELLING] % sets)
    if len(telling) == sets:
        return
    raise SamplingError(
        f"too few photons: {(totals >= _TELLING).sum():,} of {first} hold two or more, and an "
        f"orientation takes two; expected some in each of {sets} set(s) of the patterns"
        + ("; dark shots that alternate with hits need rounds.halves = false" if sets > 1 else "")
    )


def require_finite(what: str, value: float | Tensor) -> None:
    """Raise :class:`DivergedError` if a figure, or any of a tensor's, is not finite."""
    fine = bool(value.isfinite().all()) if isinstance(value, Tensor) else math.isfinite(value)
    if not fine:
        raise DivergedError(f"{what} is not finite")


def require_finite_state(state: State) -> None:
    """Raise :class:`DivergedError` if volumes, sums or poses of a state are not finite."""
    where = f"round {state.rounds + bool(state.round)}"
    volumes: list[Volume] = [*state.volumes, *([state.volume] if state.volume else [])]
    for volume in volumes:
        require_finite(f"the volume after {where}", volume.values)
    for sums in state.sums:
        require_finite(f"the sums of photons in {where}", sums.photons)
        require_finite(f"the sums of exposure in {where}", sums.exposure)
    require_finite(f"an orientation in {where}", state.column("orientations"))
