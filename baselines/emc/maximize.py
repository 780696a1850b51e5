"""Maximize: photons and fluence that the patterns give to each direction, and their fluences.

Given the posterior P_ir, the expected log-likelihood Σ P_ir (k_ip log(φ_i w_rp) − φ_i w_rp) has its
maximum at

    φ_i = Σ_p k_ip / Σ_r P_ir Σ_p w_rp                   (for given w)
    w_rp = Σ_i P_ir k_ip / Σ_i P_ir φ_i                  (for given φ; Loh & Elser 2009, eq. 11)

so that neither step can lower the likelihood. With background, k counts for the signal with the
probability φw/(φw + b).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from baselines.emc.correlate import spread, swapped
from baselines.emc.kernels import maximize as kernels
from baselines.emc.polar import PolarGrid
from baselines.emc.posterior import Entries, Posterior
from xraisim.core.dispatch import in_loops


@dataclass(frozen=True, kw_only=True)
class Spreader:
    """Adds patterns to the sums of every direction, by products or entry by entry."""

    grid: PolarGrid
    waves: tuple[Tensor, Tensor]
    sums: Float[Tensor, "D W"]

    def add(self, rows: Float[Tensor, "n W"], found: Posterior) -> None:
        """Add patterns (packed rows, with −fluence in the exposure ring) by their posterior."""
        if found.entries is not None:
            if in_loops(rows.device):
                self._add_entries(rows, found.entries)
            else:
                spread_entries_reference(self.grid, rows, found.entries, self.sums)
            return
        for tile in found.tiles:
            last = tile.first + tile.halves[0].shape[2]
            spread(self.grid, self.waves, rows, tile.halves, self.sums[tile.first : last])

    def _add_entries(self, rows: Tensor, entries: Entries) -> None:
        pattern = entries.patterns().numpy()
        column = entries.column.numpy()
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        first = np.flatnonzero(np.diff(ordered, prepend=-1))
        cosine, sine = self._phases()
        start, length = np.array(self.grid.columns).T
        kernels.spread_entries(
            np.append(first, len(ordered)), pattern[order], entries.angle.numpy()[order],
            entries.weight.numpy()[order], ordered[first], cosine, sine, rows.numpy(),
            start, length, self.sums.numpy(),
        )  # fmt: skip

    def _phases(self) -> tuple[Float32[np.ndarray, "A M"], Float32[np.ndarray, "A M"]]:
        """Return cos mα and sin mα for the angles of a whole turn."""
        alpha = np.arange(self.grid.angles) * (2 * np.pi / self.grid.angles)
        phase = alpha[:, None] * np.array(self.grid.orders)
        return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)


def spread_entries_reference(
    grid: PolarGrid, rows: Float[Tensor, "n W"], entries: Entries, out: Float[Tensor, "D W"]
) -> None:
    """Add sparse entries to the sums of their directions: plain form of the kernel, any device."""
    pattern, column = entries.patterns(), entries.column.long()
    alpha = entries.angle.double() * (2 * math.pi / grid.angles)
    for m, (start, length) in zip(grid.orders, grid.columns, strict=True):
        columns = slice(start, start + 2 * length)
        row = rows[:, columns][pattern]
        cosine, sine = (
            wave.float() * entries.weight for wave in ((m * alpha).cos(), (m * alpha).sin())
        )
        out[:, columns].index_add_(0, column, cosine[:, None] * row - sine[:, None] * swapped(row))


def expectation(
    found: Posterior, values: list[tuple[Float[Tensor, "J #n _"], Float[Tensor, "J #n _"]]]
) -> Float[Tensor, "n"]:
    """Return Σ_r P v of values that are given like LL: as halves, one pair for every tile.

    A sparse posterior takes all columns from the first pair.
    """
    if found.entries is None:
        return torch.stack(
            [
                torch.linalg.vecdot(half, value.expand_as(half), dim=0).sum(1)
                for tile, pair in zip(found.tiles, values, strict=True)
                for half, value in zip(tile.halves, pair, strict=True)
            ]
        ).sum(0)
    entries, (even, odd) = found.entries, values[0]
    half = len(even)
    pattern, column = entries.patterns(), entries.column.long()
    turn, angle = entries.angle.long() // half, entries.angle.long() % half
    row = pattern if even.shape[1] > 1 else torch.zeros_like(pattern)
    value = even[angle, row, column] + odd[angle, row, column] * (1 - 2 * turn)
    total = value.new_zeros(len(entries.offsets) - 1)
    return total.index_add_(0, pattern, entries.weight * value)
