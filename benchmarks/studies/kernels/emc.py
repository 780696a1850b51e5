"""Cases of :mod:`baselines.emc`: harmonics, candidates, posterior, sums of directions."""

from typing import Any

import torch

from baselines.emc.correlate import (
    candidate_products_reference,
    correlate_candidates,
    expand_angles,
)
from baselines.emc.harmonics import PhotonHarmonics, photon_harmonics_reference, unpack
from baselines.emc.maximize import Spreader, spread_entries_reference
from baselines.emc.polar import PolarGrid
from baselines.emc.posterior import Posterior, Tile, posterior, posterior_reference
from benchmarks.studies.kernels.cases import Pair, timed
from benchmarks.studies.kernels.inputs import DIAMETER_ANGSTROM, detector, draw, intensity, patterns

_KERNELS = "baselines.emc.kernels"
_ANGLES = 96
_THRESHOLD = 1e-6


def _grid(pixels: Any) -> PolarGrid:
    return PolarGrid.of(
        pixels, DIAMETER_ANGSTROM, angles=_ANGLES, rings_per_speckle=2.0, band=0.7
    )  # fmt: skip


def _waves(grid: PolarGrid) -> tuple[torch.Tensor, torch.Tensor]:
    return grid.waves(True, "cpu"), grid.waves(False, "cpu")


@timed(f"{_KERNELS}.harmonics.photon_harmonics", size=200, tiny=3)
def photon_harmonics(number: int) -> Pair:
    """Return the angular harmonics of patterns."""
    pixels = detector(64)
    grid = _grid(pixels)
    photons, _, counts = patterns(number, pixels, intensity())

    def complex_rows(rows: torch.Tensor) -> torch.Tensor:
        return torch.view_as_complex(unpack(grid, rows))[:, :-1].to(torch.complex128)

    return Pair(
        fast=PhotonHarmonics(grid),
        reference=lambda _: photon_harmonics_reference(grid, counts),
        arguments=lambda: (photons,),
        read=complex_rows,
    )


@timed(f"{_KERNELS}.correlate.correlate_candidates", size=200, tiny=3)
def candidate_templates(number: int) -> Pair:
    """Return the likelihoods of 50 candidate templates of each pattern, at every angle."""
    grid = _grid(detector(64))
    waves = _waves(grid)
    rows = torch.randn(number, grid.width, generator=draw())
    templates = torch.randn(300, grid.width, generator=draw(1))
    chosen = torch.randint(-1, 300, (number, 50), generator=draw(2)).int()
    return Pair(
        fast=lambda: correlate_candidates(grid, waves, rows, templates, chosen),
        reference=lambda: expand_angles(
            waves, candidate_products_reference(grid, rows, templates, chosen)
        ),
    )


def _tile(number: int, spread: float) -> Tile:
    """Return halves of LL of patterns at 400 columns and all angles."""
    even, odd = spread * torch.randn(2, _ANGLES // 2, number, 400, generator=draw())
    prior = torch.full((1, 400), 1 / (400 * _ANGLES)).log()
    return Tile(halves=(even, odd), prior=prior, first=0)


def _copied(tile: Tile) -> list[Tile]:
    even, odd = tile.halves
    return [Tile(halves=(even.clone(), odd.clone()), prior=tile.prior, first=0)]


@timed(
    f"{_KERNELS}.posterior.find_peaks", f"{_KERNELS}.posterior.sum_weights",
    f"{_KERNELS}.posterior.list_entries", size=200, tiny=3,
)  # fmt: skip
def posterior_sparse(number: int) -> Pair:
    """Return the few entries of a sharp posterior."""
    tile = _tile(number, spread=20.0)
    return Pair(
        fast=lambda tiles: posterior(tiles, 1.0, _THRESHOLD),
        reference=lambda tiles: _entries(posterior_reference(tiles, 1.0, _THRESHOLD)),
        arguments=lambda: (_copied(tile),),
        read=_entries,
    )


def _entries(found: Posterior) -> list[torch.Tensor]:
    """Return how many entries each pattern has, and what they add to each column."""
    assert found.entries is not None
    column = found.entries.column.long()
    share = torch.zeros(400).index_add_(0, column, found.entries.weight)
    return [found.entries.offsets, share]


@timed(f"{_KERNELS}.posterior.normalise", size=100, tiny=3)
def posterior_dense(number: int) -> Pair:
    """Return a flat posterior, entry for entry."""
    tile = _tile(number, spread=1.0)
    return Pair(
        fast=lambda tiles: posterior(tiles, 0.1, _THRESHOLD),
        reference=lambda tiles: list(posterior_reference(tiles, 0.1, _THRESHOLD).tiles[0].halves),
        arguments=lambda: (_copied(tile),),
        read=lambda found: list(found.tiles[0].halves),
    )


@timed(f"{_KERNELS}.maximize.spread_entries", size=1000, tiny=3)
def spread_entries(number: int) -> Pair:
    """Add patterns to the sums of directions by a sharp posterior."""
    grid = _grid(detector(64))
    waves = _waves(grid)
    rows = torch.randn(number, grid.width, generator=draw())
    found = posterior([_tile(number, spread=20.0)], 1.0, _THRESHOLD)
    entries = found.entries
    assert entries is not None

    def fast(sums: torch.Tensor) -> torch.Tensor:
        Spreader(grid=grid, waves=waves, sums=sums).add(rows, found)
        return sums

    def plain(sums: torch.Tensor) -> torch.Tensor:
        spread_entries_reference(grid, rows, entries, sums)
        return sums

    return Pair(fast=fast, reference=plain, arguments=lambda: (torch.zeros(400, grid.width),))
