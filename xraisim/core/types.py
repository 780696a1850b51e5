"""Frozen contracts between the parts: what a reconstructor may know of an experiment."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64, Real
from torch import Tensor

from xraisim.core.errors import FormatError

_LARGEST = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """The usable detector pixels, ordered by |s| so that a resolution cut is a prefix.

    ``s``: scattering vectors, float32, Å⁻¹. ``gain``: photons expected per unit |F|² at relative
    fluence 1, float32 (J₀·r_e²·ΔΩ·P). ``background``: expected background photons, float32.
    ``index``: position in the flattened detector. ``shape``: detector rows and columns. Raises
    :class:`ValueError` unless there is one of each per pixel.
    """

    s: Float[Tensor, "P 3"]
    gain: Float[Tensor, "P"]
    background: Float[Tensor, "P"]
    index: Int[Tensor, "P"]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        lengths = [len(one) for one in (self.s, self.gain, self.background, self.index)]
        if len(set(lengths)) > 1:
            raise ValueError(f"s, gain, background and index have lengths {lengths}")

    def __len__(self) -> int:
        return len(self.s)

    @property
    def radius(self) -> Float[Tensor, "P"]:
        """|s| of each pixel in Å⁻¹, ascending."""
        return self.s.norm(dim=-1)

    @property
    def has_background(self) -> bool:
        """Whether any photon may be background."""
        return bool((self.background > 0).any())

    def count_below(self, s_max: float) -> int:
        """Return how many pixels have |s| ≤ ``s_max`` (Å⁻¹): the length of the prefix."""
        return int(torch.searchsorted(self.radius.contiguous(), s_max, right=True))

    def first(self, count: int) -> "Pixels":
        """Return the ``count`` innermost pixels."""
        return Pixels(
            s=self.s[:count],
            gain=self.gain[:count],
            background=self.background[:count],
            index=self.index[:count],
            shape=self.shape,
        )

    def to(self, device: str | torch.device) -> "Pixels":
        """Return the same pixels on ``device``."""
        return Pixels(
            s=self.s.to(device),
            gain=self.gain.to(device),
            background=self.background.to(device),
            index=self.index.to(device),
            shape=self.shape,
        )


@dataclass(frozen=True, kw_only=True)
class Photons:
    """A block of sparse patterns (compressed sparse rows over patterns), on the CPU.

    Row i of n holds entries ``offsets[i]:offsets[i+1]``: ``pixel`` (into :class:`Pixels` or the
    flattened detector, as the maker says) and ``count``, int32 once they are admitted. A pixel may
    occur twice in a row; its counts then add.
    """

    offsets: Int64[np.ndarray, "n1"]
    pixel: Int[np.ndarray, "E"]
    count: Real[np.ndarray, "E"]  # whole; means, where there is no noise

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def joined(cls, blocks: Sequence["Photons"]) -> "Photons":
        """Return blocks one after another as one; no blocks make no patterns."""
        if len(blocks) == 1:
            return blocks[0]
        ends = np.cumsum([0, *(len(block.pixel) for block in blocks)])
        offsets = [block.offsets[1:] + end for block, end in zip(blocks, ends, strict=False)]
        return cls(
            offsets=np.concatenate([np.zeros(1, np.int64), *offsets]),
            pixel=np.concatenate([np.empty(0, np.int32), *(block.pixel for block in blocks)]),
            count=np.concatenate([np.empty(0, np.int32), *(block.count for block in blocks)]),
        )

    def totals(self, below: int | None = None) -> Float64[np.ndarray, "n"]:
        """Return the photons per pattern of pixels before ``below`` (default: all)."""
        weight = self.count if below is None else np.where(self.pixel < below, self.count, 0)
        running = np.concatenate([[0.0], np.cumsum(weight, dtype=np.float64)])
        return running[self.offsets[1:]] - running[self.offsets[:-1]]

    def lit(self, below: int | None = None) -> Int64[np.ndarray, "_"]:
        """Return the numbers of the patterns with photons in pixels before ``below``, ascending."""
        return np.flatnonzero(self.totals(below) > 0)

    def rows(self) -> Int64[np.ndarray, "E"]:
        """Return the pattern number of every entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def where(self, keep: Bool[np.ndarray, "E"]) -> "Photons":
        """Return the same patterns with the entries to ``keep`` alone."""
        if keep.all():
            return self
        kept = np.concatenate([[0], np.cumsum(keep)])
        return Photons(offsets=kept[self.offsets], pixel=self.pixel[keep], count=self.count[keep])

    def dense(self, pixels: int) -> Float[Tensor, "n P"]:
        """Return the counts of the first ``pixels`` pixels as a dense float32 matrix."""
        keep = self.pixel < pixels
        flat = self.rows()[keep] * pixels + self.pixel[keep]
        out = np.bincount(flat, self.count[keep], minlength=len(self) * pixels)
        return torch.from_numpy(out.astype(np.float32).reshape(len(self), pixels))

    def summed(self) -> "Photons":
        """Return the block with one entry where neighbouring entries are of one pixel.

        Raises :class:`FormatError` if a sum is more than an int32 holds.
        """
        first = np.ones(len(self.pixel), bool)
        first[1:] = self.pixel[1:] != self.pixel[:-1]
        first[self.offsets[:-1][self.offsets[:-1] < len(first)]] = True
        if first.all():
            return self
        start = np.flatnonzero(first)
        count = np.add.reduceat(self.count, start, dtype=np.int64)
        if count.max() > _LARGEST:
            raise FormatError(
                f"entries of a pixel add up to {count.max()}, more than an int32 holds"
            )
        return Photons(
            offsets=np.searchsorted(start, self.offsets),
            pixel=self.pixel[start],
            count=count.astype(np.int32),
        )

    def take(self, selection: Int[np.ndarray, "_"]) -> "Photons":
        """Return the patterns ``selection`` (an index array) as a new block."""
        lengths = np.diff(self.offsets)[selection]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        entry = np.arange(offsets[-1]) + np.repeat(self.offsets[selection] - offsets[:-1], lengths)
        return Photons(offsets=offsets, pixel=self.pixel[entry], count=self.count[entry])


@runtime_checkable
class PatternSource(Protocol):
    """What a reconstructor reads: a pattern file, or patterns that are drawn when they are read.

    ``path``: its name; ``n_patterns``; ``pixels``: the usable ones by |s|; ``info``: what a
    beamline knows, such as ``particle_diameter_angstrom``.
    """

    path: Path
    n_patterns: int
    pixels: Pixels
    info: dict[str, Any]

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1`` as numbers into ``pixels``."""

    def close(self) -> None:
        """Give back what is held open."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A cube of float32 values with its sampling.

    ``kind`` is ``"intensity"`` (``spacing`` in Å⁻¹, values |F|² in electrons²) or ``"density"``
    (``spacing`` is the voxel size in Å, values relative electron density).
    """

    values: Float[Tensor, "G G G"]
    spacing: float
    kind: str

    @property
    def grid(self) -> int:
        """Voxels per edge."""
        return self.values.shape[0]

    def to(self, device: str | torch.device) -> "Volume":
        """Return the same volume on ``device``."""
        return Volume(values=self.values.to(device), spacing=self.spacing, kind=self.kind)
