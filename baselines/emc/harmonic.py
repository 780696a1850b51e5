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

from baselines.emc.compress import insert
from baselines.emc.correlate import Halves, correlate, correlate_candidates, expand_angles
from baselines.emc.expand import Detector, Known, Profile, shares, slices, templates
from baselines.emc.harmonics import PhotonHarmonics
from baselines.emc.maximize import Spreader, expectation
from baselines.emc.models import Columns, Model
from baselines.emc.polar import PolarGrid
from baselines.emc.posterior import Posterior, Tile
from xraisim.core.merge import Accumulator
from xraisim.core.types import Photons, Pixels

_PRODUCT_FLOATS = 2**23  # of X that are held at once
_RIM = 0.1  # of the known rings: where the share of signal is taken from for those beyond


class HarmonicEngine:
    """An :class:`baselines.emc.engine.Engine` on a polar grid."""

    def __init__(self, pixels: Pixels, grid: PolarGrid, columns: Columns, profile: Profile) -> None:
        device = columns.frames.device
        self._grid, self._columns, self._profile, self._device = grid, columns, profile, device
        self._harmonics = PhotonHarmonics(grid)
        self._detector = Detector.of(grid, self._harmonics, pixels)
        self._waves = grid.waves(True, device), grid.waves(False, device)
        self._fluence_columns = grid.fluence_columns.to(device)

    def prepare(self, photons: Photons) -> Tensor:
        """Return packed harmonics, whose exposure ring is still zero."""
        return self._harmonics(photons).to(self._device)

    def begin(self, models: list[Model], known: float, fluence: float) -> None:
        """Make the templates of every column."""
        self._models = models
        self._known = Known(s_max_per_angstrom=known, fluence=fluence)
        self._templates = self._of_models(templates)
        self._shares = self._of_models(shares) if self._detector.has_background else None
        self._prior = self._columns.log_prior([m.share for m in models]).to(self._device)
        self._exposure = self._exposure_halves()
        self._spreader = Spreader(
            grid=self._grid, waves=self._waves, sums=torch.zeros_like(self._templates)
        )

    def _of_models(self, make: Callable[..., Tensor]) -> Float[Tensor, "K W"]:
        frames = [self._columns.frames[self._columns.of_class(c)] for c in range(len(self._models))]
        detail = self._profile, self._grid, self._detector
        parts = zip(self._models, frames, strict=True)
        return torch.cat([make(m.volume, *detail, f, self._known) for m, f in parts])

    def _exposure_halves(self) -> Halves:
        """Return Σ gain·V of every orientation as halves [J/2, 1, K]."""
        at = self._fluence_columns
        length = torch.tensor([rings for _, rings in self._grid.columns], device=self._device)
        real, imaginary = self._templates[:, at], -self._templates[:, at + length]
        product = torch.stack([real, imaginary]).permute(2, 0, 1)[:, :, None]
        return expand_angles(self._waves, product.contiguous())

    def tiles(
        self, rows: Tensor, fluence: Float[Tensor, "n"], candidates: Int[Tensor, "n K"] | None
    ) -> list[Tile]:
        """Return LL, with −φ in the exposure ring, so that it is one product."""
        rows[:, self._fluence_columns] = -fluence[:, None]
        if candidates is not None:
            halves = correlate_candidates(
                self._grid, self._waves, rows, self._templates, candidates
            )
            prior = self._prior[candidates.clamp_min(0)]
            prior = prior.masked_fill(candidates < 0, -torch.inf)
            return [Tile(halves=halves, prior=prior, first=0)]
        return [
            Tile(halves=halves, prior=self._prior[None, part], first=part.start)
            for part, halves in self._products(rows, self._templates)
        ]

    def _products(self, rows: Tensor, templates: Tensor) -> list[tuple[slice, Halves]]:
        per_column = len(rows) * 2 * len(self._grid.orders)
        step = max(8, _PRODUCT_FLOATS // per_column)
        parts = [slice(a, min(a + step, len(templates))) for a in range(0, len(templates), step)]
        return [(p, correlate(self._grid, self._waves, rows, templates[p])) for p in parts]

    def exposure(self, found: Posterior) -> Float[Tensor, "n"]:
        """Return the photons expected at fluence 1."""
        if found.entries is not None:
            return expectation(found, [self._exposure])
        even, odd = self._exposure
        parts = [slice(t.first, t.first + t.halves[0].shape[2]) for t in found.tiles]
        return expectation(found, [(even[..., part], odd[..., part]) for part in parts])

    def signal(self, rows: Tensor, found: Posterior) -> Float[Tensor, "n"]:
        """Return all photons on the known rings, or those that count for the signal."""
        if self._shares is None:
            return rows[:, : self._grid.rings_within(self._known.s_max_per_angstrom)].sum(1)
        values = [halves for _, halves in self._products(rows, self._shares)]
        if found.entries is not None:
            values = [(torch.cat([e for e, _ in values], 2), torch.cat([o for _, o in values], 2))]
        return expectation(found, values)

    def collect(self, rows: Tensor, fluence: Float[Tensor, "n"], found: Posterior) -> None:
        """Add patterns to the sums of their directions."""
        rows[:, self._fluence_columns] = -fluence[:, None]
        self._spreader.add(rows, found)

    def finish(self, merged: list[Accumulator]) -> None:
        """Put the sums back into the volumes."""
        for number, (model, into) in enumerate(zip(self._models, merged, strict=True)):
            part = self._columns.of_class(number)
            insert(
                into, self._spreader.sums[part], self._profile, self._grid, self._detector,
                self._columns.frames[part],
                partial(self._share, model) if self._shares is not None else None,
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
