"""The harmonic engine: all in-plane angles of a view direction at once.

Everything about a direction is a packed row of angular harmonics: its template, the patterns, and
the sums that the M-step collects. Both steps are products of rows, and no array of patterns ×
orientations × pixels, or of orientations × pixels, exists.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.emc.comparison import Comparison
from baselines.emc.compress import insert
from baselines.emc.expand import (
    Detector,
    Known,
    Profile,
    along,
    share_rows,
    slices,
    template_rows,
)
from baselines.emc.harmonics import PhotonHarmonics
from baselines.emc.models import Columns, Model
from baselines.emc.polar import PolarGrid
from baselines.emc.posterior import Posterior, Tile
from xraisim.core.merge import Accumulator
from xraisim.core.types import Photons, Pixels

_RIM = 0.1  # of the known rings: where the share of signal is taken from for those beyond


class HarmonicEngine:
    """An :class:`baselines.emc.engine.Engine` on a polar grid."""

    def __init__(self, pixels: Pixels, grid: PolarGrid, columns: Columns, profile: Profile) -> None:
        device = columns.frames.device
        self._grid, self._columns, self._profile, self._device = grid, columns, profile, device
        self._harmonics = PhotonHarmonics(grid)
        self._detector = Detector.of(grid, self._harmonics, pixels)

    def prepare(self, photons: Photons) -> Tensor:
        """Return packed harmonics, whose exposure ring is still zero."""
        return self._harmonics(photons).to(self._device)

    def begin(self, models: list[Model], known: float, fluence: float) -> None:
        """Make the templates of every column."""
        self._models = models
        self._known = Known(s_max_per_angstrom=known, fluence=fluence)
        self._prior = self._columns.log_prior([m.share for m in models]).to(self._device)
        lit = self._detector.has_background
        self._comparison = Comparison(
            self._grid,
            self._of_models(template_rows),
            self._of_models(share_rows) if lit else None,
            self._grid.rings_within(known),
        )

    def _of_models(self, rows: Callable[..., Tensor]) -> Float[Tensor, "K W"]:
        frames = [self._columns.frames[self._columns.of_class(c)] for c in range(len(self._models))]
        detail = self._profile, self._grid, self._detector
        parts = zip(self._models, frames, strict=True)
        return torch.cat([along(m.volume, *detail, f, self._known, rows) for m, f in parts])

    def tiles(
        self, rows: Tensor, fluence: Float[Tensor, "n"], candidates: Int[Tensor, "n K"] | None
    ) -> list[Tile]:
        """Return LL of all columns, or of each pattern's candidates."""
        prior = self._prior[None]
        if candidates is not None:
            prior = self._prior[candidates.clamp_min(0)].masked_fill(candidates < 0, -torch.inf)
        return self._comparison.tiles(rows, fluence, prior, candidates)

    def exposure(self, found: Posterior) -> Float[Tensor, "n"]:
        """Return the photons expected at fluence 1."""
        return self._comparison.exposure(found)

    def signal(self, rows: Tensor, found: Posterior) -> Float[Tensor, "n"]:
        """Return all photons on the known rings, or those that count for the signal."""
        return self._comparison.signal(rows, found)

    def collect(self, rows: Tensor, fluence: Float[Tensor, "n"], found: Posterior) -> None:
        """Add patterns to the sums of their directions."""
        self._comparison.collect(rows, fluence, found)

    def finish(self, merged: list[Accumulator]) -> None:
        """Put the sums back into the volumes."""
        for number, (model, into) in enumerate(zip(self._models, merged, strict=True)):
            part = self._columns.of_class(number)
            insert(
                into, self._comparison.sums[part], self._profile, self._grid, self._detector,
                self._columns.frames[part],
                partial(self._share, model) if self._detector.has_background else None,
            )  # fmt: skip

    def _share(self, model: Model, frames: Float[Tensor, "D 4"]) -> Float[Tensor, "D N"]:
        """Return the signal's share, beyond the known rings by the outermost of these."""
        known = self._known.s_max_per_angstrom
        rate = slices(model.volume, self._profile, self._grid, frames, known)
        share = self._detector.share(rate, self._known.fluence)
        inside = self._grid.points_within(known)
        rim = share[:, max(0, inside - max(1, int(_RIM * inside))) : inside]
        share[:, inside:] = rim.mean(1, keepdim=True)
        return share
