"""The posterior of every pattern over the orientations, tempered by β.

P ∝ π exp(β LL), π the prior; entries below a threshold, relative to a pattern's best, are dropped.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int
from torch import Tensor

from baselines.emc.correlate import Halves
from baselines.emc.kernels import posterior as kernels
from xraisim.core.dispatch import in_loops

_DENSE_SHARE = 0.15  # of columns kept per pattern, above which matrix products are faster


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Halves of LL for some columns of orientations; ``first`` numbers them.

    ``prior`` [n or 1, K]: log of each column's prior probability, divided among its angles.
    """

    halves: Halves
    prior: Float[Tensor, "#n _"]
    first: int


@dataclass(frozen=True, kw_only=True)
class Entries:
    """A sparse posterior: patterns ``offsets[i]:offsets[i+1]`` own (column, angle, weight)."""

    offsets: Int[Tensor, "n1"]
    column: Int[Tensor, "E"]
    angle: Int[Tensor, "E"]
    weight: Float[Tensor, "E"]

    def patterns(self) -> Int[Tensor, "E"]:
        """Return the pattern of every entry."""
        numbers = torch.arange(len(self.offsets) - 1, device=self.offsets.device)
        return numbers.repeat_interleave(self.offsets.diff())


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the posterior says of each pattern, float64 on the CPU.

    ``best`` [n, 2]: column and angle of the likeliest orientation; ``occupancy``: its probability;
    ``loglik``: LL at it; ``energy``: Σ P LL; ``evidence``: (1/β) log Σ π exp(β LL), the
    objective that EM at fixed β ascends; ``information``: Σ P log(P/π) in nats; ``kept``: entries.
    """

    best: Int[Tensor, "n 2"]
    occupancy: Float[Tensor, "n"]
    loglik: Float[Tensor, "n"]
    energy: Float[Tensor, "n"]
    evidence: Float[Tensor, "n"]
    information: Float[Tensor, "n"]
    kept: Float[Tensor, "n"]


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Either ``entries``, or tiles whose halves hold the probabilities (sum, difference)."""

    found: Found
    entries: Entries | None
    tiles: list[Tile]


def posterior(
    tiles: list[Tile],
    beta: float,
    threshold: float,
    candidates: Int[Tensor, "n K"] | None = None,
) -> Posterior:
    """Return the posterior of the patterns of some tiles, whose halves may be overwritten.

    Where the one tile's columns are each pattern's ``candidates``, it is sparse and names these.
    """
    if not in_loops(tiles[0].halves[0].device):
        return posterior_reference(tiles, beta, threshold, candidates)
    lowest, scale = np.float32(math.log(threshold)), np.float32(beta)
    arrays = [(*(half.numpy() for half in tile.halves), tile.prior.numpy()) for tile in tiles]
    n = arrays[0][0].shape[1]
    peak, at = np.full(n, -np.inf, np.float32), np.zeros((n, 2), np.int64)
    for tile, array in zip(tiles, arrays, strict=True):
        kernels.find_peaks(*array, scale, tile.first, peak, at)
    sums = np.zeros((n, 4))
    for array in arrays:
        kernels.sum_weights(*array, scale, lowest, peak, sums)
    found = _found(tiles, peak, at, sums, beta)
    columns = sum(tile.halves[0].shape[2] for tile in tiles)
    if candidates is None and sums[:, 3].mean() > _DENSE_SHARE * columns:
        for array in arrays:
            kernels.normalise(*array, scale, lowest, peak, sums[:, 0])
        return Posterior(found=found, entries=None, tiles=tiles)
    return _sparse(found, _entries(tiles, arrays, (scale, lowest), peak, sums), candidates)


def posterior_reference(
    tiles: list[Tile],
    beta: float,
    threshold: float,
    candidates: Int[Tensor, "n K"] | None = None,
) -> Posterior:
    """Plain form of :func:`posterior`, any device; entries of a pattern may be in another order."""
    value, prior = flat(tiles)
    x = value * beta + prior
    peak, best = x.max(1)
    y = x - peak[:, None]
    weight = y.exp().where(y >= math.log(threshold), 0)
    kept = weight > 0
    mass = weight.sum(1, dtype=torch.float64)
    sums = [mass, *((weight * v.where(kept, 0)).sum(1, dtype=torch.float64) for v in (y, value))]
    table = torch.stack([*sums, kept.sum(1)], 1).cpu().numpy()
    angles = 2 * len(tiles[0].halves[0])
    at = torch.stack([best // angles, best % angles], 1).cpu().numpy()
    found = _found(tiles, peak.cpu().numpy(), at, table, beta)
    p = weight / mass[:, None].float()
    if candidates is None and table[:, 3].mean() > _DENSE_SHARE * (x.shape[1] // angles):
        return Posterior(found=found, entries=None, tiles=_halved(tiles, p))
    pattern, place = kept.nonzero().unbind(1)
    counts = kept.sum(1).cumsum(0)
    entries = Entries(
        offsets=torch.cat([counts.new_zeros(1), counts]),
        column=(place // angles).int(),
        angle=(place % angles).int(),
        weight=p[pattern, place],
    )
    return _sparse(found, entries, candidates)


def flat(tiles: list[Tile]) -> tuple[Float[Tensor, "n R"], Float[Tensor, "#n R"]]:
    """Return LL and log prior of all orientations, the angles of a column one after another."""
    values, priors = [], []
    for tile in tiles:
        even, odd = tile.halves
        both = torch.cat([even + odd, even - odd]).movedim(0, 2)
        values.append(both.flatten(1))
        priors.append(tile.prior.repeat_interleave(both.shape[2], 1))
    return torch.cat(values, 1), torch.cat(priors, 1)


def _halved(tiles: list[Tile], p: Float[Tensor, "n R"]) -> list[Tile]:
    """Return the tiles with the halves of P in place of those of LL."""
    columns = [tile.halves[0].shape[2] for tile in tiles]
    parts = p.view(len(p), sum(columns), -1).movedim(2, 0).split(columns, 2)
    pairs = [part.chunk(2) for part in parts]
    halves = [((a + b).contiguous(), (a - b).contiguous()) for a, b in pairs]
    return [replace(tile, halves=both) for tile, both in zip(tiles, halves, strict=True)]


def _sparse(found: Found, entries: Entries, candidates: Tensor | None) -> Posterior:
    """Name the columns by the candidates they are, if they are candidates."""
    if candidates is not None:
        named = candidates[entries.patterns(), entries.column.long()]
        entries = replace(entries, column=named.int())
        column = candidates.cpu().long().gather(1, found.best[:, :1])
        found = replace(found, best=torch.cat([column, found.best[:, 1:]], 1))
    return Posterior(found=found, entries=entries, tiles=[])


def _entries(
    tiles: list[Tile],
    arrays: list[tuple[np.ndarray, ...]],
    limits: tuple[np.float32, np.float32],
    peak: Float32[np.ndarray, "n"],
    sums: Float64[np.ndarray, "n 4"],
) -> Entries:
    offsets = np.concatenate([[0], np.cumsum(sums[:, 3].astype(np.int64))])
    column, angle = (np.zeros(offsets[-1], np.int32) for _ in range(2))
    weight, cursor = np.zeros(offsets[-1], np.float32), offsets[:-1].copy()
    for tile, array in zip(tiles, arrays, strict=True):
        kernels.list_entries(
            *array, *limits, peak, sums[:, 0], tile.first, cursor, column, angle, weight
        )
    listed = (torch.from_numpy(values) for values in (offsets, column, angle, weight))
    return Entries(**dict(zip(("offsets", "column", "angle", "weight"), listed, strict=True)))


def _found(
    tiles: list[Tile],
    peak: Float32[np.ndarray, "n"],
    best: Int[np.ndarray, "n 2"],
    sums: Float64[np.ndarray, "n 4"],
    beta: float,
) -> Found:
    mass, _, energy, kept = torch.from_numpy(sums).unbind(1)
    at = torch.from_numpy(best)
    prior = torch.cat([tile.prior.cpu().expand(len(at), -1) for tile in tiles], 1)
    top, energy = torch.from_numpy(peak).double(), energy / mass
    evidence = (top + mass.log()) / beta
    return Found(
        best=at,
        occupancy=1 / mass,
        loglik=(top - prior.gather(1, at[:, :1])[:, 0].double()) / beta,
        energy=energy,
        evidence=evidence,
        information=beta * (energy - evidence),
        kept=kept,
    )
