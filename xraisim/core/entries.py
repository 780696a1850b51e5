"""Sparse photons on a device: what the plain torch forms read of a block of patterns.

A pattern lights one pixel in thirty, so whatever only photons need (logarithms, sums in double
precision) is done entry by entry, and the dense loops over pixels stay in single precision.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core.types import Photons

_CPU_SAMPLES = 2**20  # pixels of patterns held at once: they stay in the cache
_MOST_SAMPLES = 2**27  # beyond, launching kernels hardly costs anything
_BYTES_PER_SAMPLE = 128  # of the temporary arrays of one pixel, rounded up


@dataclass(frozen=True, kw_only=True)
class Entries:
    """m entries of n patterns: their ``row``, ``pixel`` and ``count`` (float64, ≥ 0).

    ``offsets`` [n + 1] as in :class:`Photons`. Entries beyond the pixels asked for count 0.
    """

    offsets: Int[Tensor, "_"]
    row: Int[Tensor, "m"]
    pixel: Int[Tensor, "m"]
    count: Float[Tensor, "m"]

    def totals(self, values: Float[Tensor, "m *rest"]) -> Float[Tensor, "n *rest"]:
        """Return the sums of ``values`` over the entries of each pattern."""
        return torch.segment_reduce(values, "sum", offsets=self.offsets, axis=0, initial=0)


def upload_entries(
    photons: Photons, rows: slice, pixels: int, device: str | torch.device
) -> Entries:
    """Copy the patterns ``rows`` to ``device``, as far as they lie in the first ``pixels``."""
    offsets = photons.offsets[rows.start : rows.stop + 1]
    part = slice(int(offsets[0]), int(offsets[-1]))
    pixel = torch.tensor(photons.pixel[part], device=device)
    count = torch.tensor(photons.count[part], device=device, dtype=torch.float64)
    begin = torch.tensor(offsets - offsets[0], device=device)
    number = torch.arange(len(offsets) - 1, device=device)
    return Entries(
        offsets=begin,
        row=number.repeat_interleave(begin.diff(), output_size=len(pixel)),
        pixel=pixel.long().clamp_max(pixels - 1),
        count=torch.where(pixel < pixels, count, 0),
    )


def dense_counts(photons: Photons, pixels: int, device: str | torch.device) -> Float[Tensor, "n P"]:
    """Return the counts of the first ``pixels`` pixels, float32, spread out on ``device``."""
    entries = upload_entries(photons, slice(0, len(photons)), pixels, device)
    out = torch.zeros(len(photons) * pixels, device=device)
    out.index_add_(0, entries.row * pixels + entries.pixel, entries.count.float())
    return out.reshape(len(photons), pixels)


def device_blocks(rows: int, samples_per_row: int, device: str | torch.device) -> Iterator[slice]:
    """Yield the rows that a plain torch form takes at once, by the memory that is free."""
    device, samples = torch.device(device), _CPU_SAMPLES
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        samples = min(free // 2 // _BYTES_PER_SAMPLE, _MOST_SAMPLES)
    step = max(1, samples // max(1, samples_per_row))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
