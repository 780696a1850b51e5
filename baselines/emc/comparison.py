"""Patterns against templates, both as packed harmonics: likelihoods, and sums by the posterior."""

import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.emc.correlate import Halves, correlate, correlate_candidates, expand_angles
from baselines.emc.maximize import Spreader, expectation
from baselines.emc.polar import PolarGrid
from baselines.emc.posterior import Entries, Posterior, Tile

_PRODUCT_FLOATS = 2**23  # of X that are held at once


class Comparison:
    """K templates [K, W] (:func:`baselines.emc.expand.template_rows`), of ``rings`` known rings.

    ``shares`` [K, W]: probability that a photon is signal, None where all are.
    """

    def __init__(
        self,
        grid: PolarGrid,
        templates: Float[Tensor, "K W"],
        shares: Float[Tensor, "K W"] | None,
        rings: int,
    ) -> None:
        self._grid, self._templates, self._shares, self._rings = grid, templates, shares, rings
        device = templates.device
        self._waves = grid.waves(True, device), grid.waves(False, device)
        self._fluence_columns = grid.fluence_columns.to(device)
        self._exposure = self._exposure_halves()
        self._spreader = Spreader(grid=grid, waves=self._waves, sums=torch.zeros_like(templates))

    @property
    def sums(self) -> Float[Tensor, "K W"]:
        """What :meth:`collect` has added up."""
        return self._spreader.sums

    def _exposure_halves(self) -> Halves:
        """Return Σ gain·W of every template and angle as halves [J/2, 1, K]."""
        at = self._fluence_columns
        length = torch.tensor([rings for _, rings in self._grid.columns], device=at.device)
        real, imaginary = self._templates[:, at], -self._templates[:, at + length]
        product = torch.stack([real, imaginary]).permute(2, 0, 1)[:, :, None]
        return expand_angles(self._waves, product.contiguous())

    def tiles(
        self,
        rows: Float[Tensor, "n W"],
        fluence: Float[Tensor, "n"],
        prior: Float[Tensor, "#n _"],
        candidates: Int[Tensor, "n C"] | None = None,
    ) -> list[Tile]:
        """Return LL of all templates, or of each pattern's candidates (−1: none), with priors.

        −φ is put into the rows' exposure ring, so that it is one product.
        """
        rows[:, self._fluence_columns] = -fluence[:, None]
        if candidates is not None:
            halves = self._of_candidates(rows, self._templates, candidates)
            return [Tile(halves=halves, prior=prior, first=0)]
        parts = self._products(rows, self._templates)
        sizes = [even.shape[2] for even, _ in parts]
        first = [0, *itertools.accumulate(sizes)]
        return [
            Tile(halves=halves, prior=some, first=start)
            for halves, some, start in zip(parts, prior.split(sizes, 1), first, strict=False)
        ]

    def _products(self, rows: Tensor, templates: Tensor) -> list[Halves]:
        step = max(8, _PRODUCT_FLOATS // (len(rows) * 2 * len(self._grid.orders)))
        return [correlate(self._grid, self._waves, rows, part) for part in templates.split(step)]

    def _of_candidates(self, rows: Tensor, templates: Tensor, candidates: Tensor) -> Halves:
        return correlate_candidates(self._grid, self._waves, rows, templates, candidates)

    def exposure(self, found: Posterior) -> Float[Tensor, "n"]:
        """Return Σ P Σ gain·W: photons expected at fluence 1."""
        if found.entries is not None:
            return expectation(found, [self._exposure])
        even, odd = self._exposure
        parts = [slice(t.first, t.first + t.halves[0].shape[2]) for t in found.tiles]
        return expectation(found, [(even[..., part], odd[..., part]) for part in parts])

    def signal(self, rows: Float[Tensor, "n W"], found: Posterior) -> Float[Tensor, "n"]:
        """Return Σ P Σ k f: the photons on the known rings that count for the signal."""
        if self._shares is None:
            return rows[:, : self._rings].sum(1)
        if found.entries is None:
            return expectation(found, self._products(rows, self._shares))
        # Only the templates that a pattern has left are looked at, not all of them.
        near, entries = _placed(found.entries)
        halves = self._of_candidates(rows, self._shares, near)
        return expectation(Posterior(found=found.found, entries=entries, tiles=[]), [halves])

    def collect(
        self, rows: Float[Tensor, "n W"], fluence: Float[Tensor, "n"], found: Posterior
    ) -> None:
        """Add patterns to the sums of their templates, at new fluences."""
        rows[:, self._fluence_columns] = -fluence[:, None]
        self._spreader.add(rows, found)


def _placed(entries: Entries) -> tuple[Int[Tensor, "n C"], Entries]:
    """Return each pattern's own columns (−1: none), and the entries by their places in these."""
    pattern, column = entries.patterns(), entries.column.long()
    span = int(column.max()) + 1
    pairs, which = torch.unique(pattern * span + column, return_inverse=True)
    counts = (pairs // span).bincount(minlength=len(entries.offsets) - 1)
    place = torch.arange(len(pairs), device=pairs.device)
    place = place - (counts.cumsum(0) - counts)[pairs // span]
    near = pairs.new_full((len(counts), int(counts.max())), -1).int()
    near[pairs // span, place] = (pairs % span).int()
    moved = place[which].int()
    return near, Entries(
        offsets=entries.offsets, column=moved, angle=entries.angle, weight=entries.weight
    )
