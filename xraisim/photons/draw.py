"""The draw: k ~ Poisson(λ) photons for every shot and usable pixel, compiled.

:class:`ExpectedPhotons` is λ in plain numpy. Here it is looked up only where a photon may fall: at
the bright pixels, and wherever an event of a Poisson process falls on an upper bound of λ, which is
a photon if it falls within λ too. The exposures of a shot and its background are drawn one by one
and added, which is the same as drawing the sum. :func:`_draw_batch` is the heart of it.

Shot i depends on (seed, i) alone: what it meets and its photons are counter-based random numbers,
so the number of threads, the batch size and the order of the batches do not matter. Exposure e of a
shot has the streams from e·2²⁴ on: 0 holds the gaps of the bright pixels' process, 1 those between
the events on bounds, 2 + p the draws of pixel p alone.
"""

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64
from numba import parallel_chunksize, prange

from xraisim.core import rotations
from xraisim.core.errors import SamplingError
from xraisim.core.kernels.compiled import compiled
from xraisim.core.random import stream_key
from xraisim.core.types import Photons
from xraisim.photons.expected import ExpectedPhotons, check_exposures
from xraisim.photons.kernels.additions import draw_addition
from xraisim.photons.kernels.lookup import fetch_ahead, place, spline
from xraisim.photons.kernels.poisson import (
    CHUNK,
    TICKS,
    Random,
    candidates,
    of_shot,
    poisson_large,
    scatter,
)
from xraisim.photons.kernels.rows import (
    END,
    Rows,
    Scratch,
    make_scratch,
    merge_rows,
    merged_lengths,
    write_row,
)
from xraisim.photons.lookup import (
    Exposures,
    IntensityTable,
    UsablePixels,
    make_guide,
    make_table,
    pad,
    running_sum,
    usable_pixels,
)
from xraisim.photons.shots import Shots

_EXTRA, _BACKGROUND = 254, 255  # drawn with the streams of the last of 256 exposures
_STREAM_BITS = 24
_ENVELOPED_BELOW = 0.05  # events of the envelope per pixel; with more, block bounds are cheaper
_ENTRIES = 2**24  # that the rows of a block of shots may have room for: 134 MB
_BATCH = 32  # exposures that share scratch arrays
_AHEAD = 16  # look-ups between asking for memory and using it
_BRIGHT = np.float32(10)  # expected photons from which rejection beats counting them one by one


class PhotonSampler:
    """Draws the photons of shots on one detector; masked pixels get none.

    For one thread to call at a time: the loops inside take all cores. ``version``: one that draws
    other photons for the same seed has another.
    """

    version: ClassVar[int] = 1

    def __init__(self, expected: ExpectedPhotons, *, seed: int) -> None:
        """``expected`` is copied into tables, and not needed any more."""
        self._key = stream_key(seed, "photons")
        self._s_max, self._volume_s_max = expected.s_max, expected.volume_s_max
        self._usable = usable_pixels(expected)
        self._tables = [make_table(volume, self._usable) for volume in expected.volumes]
        self._additions = {}
        for number, mean in ((_EXTRA, expected.extra), (_BACKGROUND, expected.background)):
            running = running_sum(pad(mean))
            if running[-1] > 0:
                self._additions[number] = running, make_guide(running)
        self._capacity = 1024  # entries that an exposure has room for
        self._rows = Rows(np.empty((0, 0), np.int32), np.empty((0, 0), np.int32), np.empty(0, int))

    def draw(self, shots: Shots, first: int) -> Photons:
        """Return the photons of ``shots``, which are numbers ``first`` and on of the experiment.

        Pixels are flat detector indices, ascending in each row. Raises :class:`SamplingError` if a
        usable pixel lies outside a volume, or an exposure is none.
        """
        self._check(shots)
        # One row for every exposure of a shot, and behind them one for each addition.
        starts = shots.offsets + np.arange(len(shots) + 1) * len(self._additions)
        if starts[-1] * self._capacity > _ENTRIES and len(shots) > 1:
            return self._draw_halves(shots, first)
        rows = self._empty_rows(int(starts[-1]))
        self._draw_exposures(shots, first, starts, rows)
        self._draw_additions(shots, first, starts, rows)
        longest = int(rows.length.max(initial=0))
        if longest > self._capacity:
            self._capacity = min(int(1.2 * longest), len(self._usable.flat))
            return self.draw(shots, first)
        offsets = np.concatenate([[0], np.cumsum(merged_lengths(rows, starts))])
        pixel, count = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int32)
        merge_rows(rows, starts, offsets, pixel, count)
        return Photons(offsets=offsets, pixel=pixel, count=count)

    def _draw_exposures(
        self, shots: Shots, first: int, starts: Int64[np.ndarray, "n1"], rows: Rows
    ) -> None:
        """Draw every exposure into its row."""
        shot = np.repeat(np.arange(len(shots)), np.diff(shots.offsets))
        number = np.arange(len(shots.model)) - shots.offsets[shot]
        R = rotations.to_matrix(torch.from_numpy(shots.orientation)).numpy().reshape(-1, 9)
        R = R * shots.scale[:, None]
        for model, table in enumerate(self._tables):
            mine = np.flatnonzero(shots.model == model)
            weight = shots.weight[mine]
            events = weight * table.running[-1]
            exposures = Exposures(
                row=starts[shot[mine]] + number[mine],
                shot=first + shot[mine],
                stream=number[mine] << _STREAM_BITS,
                R=R[mine],
                weight=weight,
                # The envelope is that of unscaled scattering vectors.
                enveloped=(shots.scale[mine] == 1)
                & (events > 0)
                & (events < _ENVELOPED_BELOW * len(self._usable.flat)),
            )
            with parallel_chunksize(1):  # the batches are dealt out as the cores come free
                _draw_batches(table, self._usable, exposures, *self._key, rows)

    def _draw_additions(
        self, shots: Shots, first: int, starts: Int64[np.ndarray, "n1"], rows: Rows
    ) -> None:
        """Draw the extra photons and the background, each into its row of every shot."""
        for back, (number, addition) in enumerate(self._additions.items(), 1):
            strength = shots.strength if number == _BACKGROUND else np.ones(len(shots))
            some = np.flatnonzero(strength > 0)
            draw_addition(
                self._usable.flat,
                *addition,
                first + some,
                number << _STREAM_BITS,
                strength[some].astype(np.float64),
                starts[some + 1] - back,
                *self._key,
                rows,
            )

    def _empty_rows(self, number: int) -> Rows:
        """Return so many rows without entries: the last ones, if they fit.

        Fresh memory would be faulted in, page by page, for every block.
        """
        if len(self._rows.length) < number or self._rows.pixel.shape[1] != self._capacity:
            shape = number, self._capacity
            self._rows = Rows(
                np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(number, int)
            )
        rows = Rows(*(values[:number] for values in self._rows))
        rows.length[:] = 0
        return rows

    def _draw_halves(self, shots: Shots, first: int) -> Photons:
        half = len(shots) // 2
        one = self.draw(shots.part(0, half), first)
        return Photons.joined([one, self.draw(shots.part(half, len(shots)), first + half)])

    def _check(self, shots: Shots) -> None:
        most = np.diff(shots.offsets).max(initial=0)
        if most > _EXTRA:
            raise SamplingError(
                f"a shot has {most} exposures (particles × spectral lines); {_EXTRA} is the most"
            )
        check_exposures(shots, self._s_max, self._volume_s_max)


@compiled(parallel=True, nogil=True)
def _draw_batches(
    table: IntensityTable,
    usable: UsablePixels,
    exposures: Exposures,
    k0: np.uint32,
    k1: np.uint32,
    rows: Rows,
) -> None:
    """Draw exposures of one volume into their rows."""
    exposed = len(exposures.shot)
    for b in prange(-(-exposed // _BATCH)):
        batch = range(b * _BATCH, min((b + 1) * _BATCH, exposed))
        _draw_batch(batch, table, usable, exposures, k0, k1, rows)


@compiled
def _draw_batch(
    batch: range,
    table: IntensityTable,
    usable: UsablePixels,
    exposures: Exposures,
    k0: np.uint32,
    k1: np.uint32,
    rows: Rows,
) -> None:
    """Draw exposures one by one in the same scratch arrays: k ~ Poisson(λ).

    ``scratch`` lists the bright pixels first, and behind them a pixel for every event on a bound.
    """
    scratch = make_scratch(len(usable.flat), CHUNK)
    for i in batch:
        stream, weight = exposures.stream[i], exposures.weight[i]
        random = of_shot(exposures.shot[i], k0, k1)
        R = exposures.R[i] * table.inverse
        bright, found = candidates(
            scratch, table, usable, R, weight, exposures.enveloped[i], random, stream + 1
        )
        _look_up_means(scratch, found, table, R, usable, weight)
        entries = _keep_photons(scratch, bright, found)
        entries += _draw_bright(scratch, bright, random, stream)
        write_row(rows, exposures.row[i], usable.flat, scratch, entries)


@compiled(fast=True)
def _look_up_means(
    scratch: Scratch,
    found: int,
    table: IntensityTable,
    R: np.ndarray,
    usable: UsablePixels,
    weight: np.float32,
) -> None:
    """Write λ = weight · gain · |F(Rᵀ s)|² of the listed pixels.

    A look-up's memory is asked for some look-ups ahead.
    """
    s0, s1, s2, gain = usable.s[0], usable.s[1], usable.s[2], usable.gain
    where, mean, brick, along = scratch.where, scratch.mean, scratch.brick, table.along
    x, y, z, centre = scratch.point[0], scratch.point[1], scratch.point[2], table.centre
    a, b, c, d, e, f, g, h, i = R[0], R[1], R[2], R[3], R[4], R[5], R[6], R[7], R[8]
    for j in range(found):
        p = np.uint32(where[j])
        x[j], y[j], z[j], mean[j] = s0[p], s1[p], s2[p], weight * gain[p]
    for j in range(found):
        u, v, w = x[j], y[j], z[j]
        brick[j], x[j], y[j], z[j] = place(
            a * u + d * v + g * w + centre,
            b * u + e * v + h * w + centre,
            c * u + f * v + i * w + centre,
            along,
        )
    for j in range(found):
        fetch_ahead(table.bricks, brick[min(j + _AHEAD, found - 1)], along)
        mean[j] *= spline(table.bricks, brick[j], x[j], y[j], z[j], along)


@compiled
def _keep_photons(scratch: Scratch, first: int, found: int) -> int:
    """List the pixels of the events from ``first`` on that fall within λ; return how many.

    By arithmetic rather than by a branch, which would be mispredicted.
    """
    where, distance, mean, kept = scratch.where, scratch.distance, scratch.mean, scratch.kept
    photons = 0
    for event in range(first, found):
        kept[np.uint32(photons)] = where[event]
        photons += int(distance[event] < mean[event])
    kept[photons] = END
    return photons


@compiled
def _draw_bright(scratch: Scratch, bright: int, random: Random, stream: int) -> int:
    """Draw the photons of the bright pixels; list those that have some; return how many.

    They share a Poisson process of rate λ_p on each pixel in turn; where λ is large, one draw by
    rejection instead.
    """
    where, mean, photons, length = scratch.where, scratch.mean, scratch.photons, scratch.length
    for j in range(bright):
        photons[j], length[j] = 0, np.int64(mean[j] * TICKS) if mean[j] < _BRIGHT else 0
    events = scatter(scratch.event, scratch.left, length[:bright], random, stream)
    for i in range(events):
        photons[scratch.event[i]] += 1
    lit = 0
    for j in range(bright):
        p = where[j]
        if mean[j] >= _BRIGHT:
            photons[j] = poisson_large(float(mean[j]), random, stream + 2 + p)
        where[lit], photons[lit] = p, photons[j]
        lit += int(photons[j] > 0)
    where[lit] = END
    return lit
