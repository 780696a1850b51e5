"""What has to hold before a reconstruction begins: photons to go by."""

from collections.abc import Sequence

import numpy as np

from xraisim.core.errors import SamplingError
from xraisim.core.types import Photons

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
