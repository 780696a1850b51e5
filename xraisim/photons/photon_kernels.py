"""The fused loop that draws exposures: rotate, bound, look up, Poisson; see ``source``.

Philox counters: (block, stream, shot low, shot high). An exposure has the streams from ``slot``·2²⁴
on: 0 holds the gaps of the pixels looked up one by one, 1 those between the events of the thinned
ones, 2 + p the draws of pixel p alone. So a shot depends on its number and the key alone.
"""

import numpy as np
from numba import njit, prange

from xraisim.photons.exposure_kernels import (
    count_bright,
    keep_events,
    look_up,
    make_scratch,
    merge_entries,
)
from xraisim.photons.process_kernels import GAPS, next_gap
from xraisim.photons.spline_kernels import BLOCK_BITS
from xraisim.photons.thinning_kernels import (
    bound_pixels,
    locate_blocks,
    piece,
    select_bounded,
    select_enveloped,
)

_SLOT_BITS = 24
_BLOCK_EDGE = 1 << BLOCK_BITS
_BATCH = 32  # exposures that share scratch arrays


@njit(parallel=True, nogil=True, cache=True)
def draw_exposures(lookup, screen, exposures, k0, k1, pixel, count, length):
    """Draw exposures of one volume into rows of ``pixel`` and ``count`` [rows, capacity].

    ``length`` [rows] gets the number of entries; where that exceeds the capacity the row is cut
    and must be drawn again with more room.
    """
    exposed = len(exposures.shot)
    for batch in prange(-(-exposed // _BATCH)):
        some = range(batch * _BATCH, min((batch + 1) * _BATCH, exposed))
        _draw_some(some, lookup, screen, exposures, k0, k1, pixel, count, length)


@njit(cache=True)
def _draw_some(some, lookup, screen, exposures, k0, k1, pixel, count, length):
    """Draw exposures ``some``, one by one in the same scratch arrays."""
    s, gain, scratch = screen.s, screen.gain, make_scratch(len(screen.flat))
    where, offset = scratch.where, scratch.offset
    block_centre = (lookup.centre + np.float32(0.5)) / np.float32(_BLOCK_EDGE)
    for i in some:
        row, shot = exposures.row[i], exposures.shot[i]
        low, high = np.uint32(shot & 0xFFFFFFFF), np.uint32(shot >> 32)
        stream, weight = exposures.slot[i] << _SLOT_BITS, exposures.weight[i]
        R = exposures.R[i] * lookup.inverse
        to_blocks = R / np.float32(_BLOCK_EDGE)
        if exposures.enveloped[i]:
            lit = 0
            found = select_enveloped(
                where, offset, lookup, screen, to_blocks, weight, block_centre,
                stream + 1, low, high, k0, k1,
            )  # fmt: skip
        else:
            locate_blocks(scratch.block, lookup.blocks, to_blocks, block_centre, s)
            lit = bound_pixels(
                scratch.bound, scratch.total, where, scratch.block, lookup.code,
                lookup.ceiling * weight, gain,
            )  # fmt: skip
            found = lit + select_bounded(
                where[lit:], offset[lit:], scratch.left, scratch.bound, scratch.total,
                stream + 1, low, high, k0, k1,
            )  # fmt: skip
        look_up(scratch, found, lookup, R, screen, weight)
        entries = keep_events(scratch, lit, found)
        entries += count_bright(scratch, lit, stream, low, high, k0, k1)
        length[row] = merge_entries(pixel[row], count[row], screen.flat, scratch, entries)


@njit(parallel=True, nogil=True, cache=True)
def draw_background(screen, background, shot, slot, strength, row, k0, k1, pixel, count, length):
    """Draw the background of shots ``shot`` into rows, as :func:`draw_exposures` does.

    ``background``: its running sum [P + 1] in photons at strength 1, and the guide to it.
    """
    running, guide = background
    for i in prange(len(shot)):
        low, high = np.uint32(shot[i] & 0xFFFFFFFF), np.uint32(shot[i] >> 32)
        length[row[i]] = _count_events(
            pixel[row[i]], count[row[i]], screen.flat, running, guide, strength[i],
            slot << _SLOT_BITS, low, high, k0, k1,
        )  # fmt: skip


@njit(cache=True)
def _count_events(pixel, count, flat, running, guide, strength, stream, low, high, k0, k1):
    """Take every event on ``running`` for a photon; return how many entries they make."""
    gaps, at, entries, last, y = np.empty(GAPS, np.int64), 0, 0, -1, 0.0
    while True:
        gap, at = next_gap(gaps, at, stream, low, high, k0, k1)
        y += gap / strength
        if y >= running[-1]:
            return entries
        p = piece(running, guide, y)
        entries += int(p != last)
        if entries <= len(pixel):
            count[entries - 1] = 1 + (count[entries - 1] if p == last else 0)
            pixel[entries - 1] = flat[p]
        last = p
