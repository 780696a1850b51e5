"""Expected photons and their Poisson draw: λ = gain·Σ weight·|F(scale·Rᵀ s)|² + strength·b.

Shot i depends on (seed, i) alone: what it meets and its photons are counter-based random numbers,
so the number of threads, the batch size and the order of the batches do not matter. The exposures
of a shot and its background are drawn one by one and added, which is the same as drawing the sum.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numba import parallel_chunksize

from xraisim.core import rotations
from xraisim.core.errors import SamplingError
from xraisim.core.random import stream_key
from xraisim.core.types import Photons
from xraisim.instrument.detector import Geometry
from xraisim.photons.bounds import check_exposures, check_rates
from xraisim.photons.lookup import Exposures, make_guide, make_lookup, make_screen, pad, running_sum
from xraisim.photons.photon_kernels import draw_background, draw_exposures
from xraisim.photons.row_kernels import merge_rows, merged_lengths
from xraisim.photons.shots import Shots
from xraisim.scattering.intensity import IntensitySpline

_EXTRA_SLOT, _BACKGROUND_SLOT = 254, 255  # the last of a shot's 256 ranges of random numbers
_ENVELOPED_BELOW = 0.05  # events of the envelope per pixel; with more, block bounds are cheaper
_ENTRIES = 2**24  # that a block of rows may have room for: 134 MB


def look_up(volume: IntensitySpline, s: np.ndarray) -> np.ndarray:
    """Return |F(s)|² in electrons² at ``s`` [P, 3] (Å⁻¹), float64: the kernel's plain form."""
    position = s / volume.spacing + volume.grid // 2
    middle = np.floor(position + 0.5).astype(int)
    t = position - middle
    weight = np.stack([0.5 * (0.5 - t) ** 2, 0.75 - t**2, 0.5 * (0.5 + t) ** 2], axis=-1)
    total = np.zeros(len(s))
    for step in np.ndindex(3, 3, 3):
        x, y, z = (middle + np.array(step) - 1).T
        product = weight[:, 0, step[0]] * weight[:, 1, step[1]] * weight[:, 2, step[2]]
        total += product * volume.coefficients[x, y, z]
    return np.maximum(total, 0.0)


def expected_photons(
    volumes: Sequence[IntensitySpline],
    geometry: Geometry,
    shots: Shots,
    *,
    gain: np.ndarray | None = None,
    background: np.ndarray | float = 0.0,
    extra: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Return λ of every shot and detector pixel, float64 [n, P]: plain numpy, zero where masked.

    ``gain``, ``background`` and ``extra`` as in :class:`PhotonSource`.
    """
    good = geometry.good
    gain = geometry.gain if gain is None else gain
    out = np.zeros((len(shots), len(geometry.s)))
    background, extra = (np.broadcast_to(x, len(geometry.s))[good] for x in (background, extra))
    out[:, good] = shots.strength[:, None] * background + extra
    R = rotations.to_matrix(torch.from_numpy(shots.orientation.astype(np.float64))).numpy()
    for shot, (start, stop) in enumerate(zip(shots.offsets[:-1], shots.offsets[1:], strict=True)):
        for e in range(start, stop):
            s = shots.scale[e] * (geometry.s[good] @ R[e])  # row vectors: s @ R is Rᵀ s
            value = look_up(volumes[shots.model[e]], s)
            out[shot, good] += shots.weight[e] * gain[good] * value
    return out


class PhotonSource:
    """Draws the photons of shots on one detector; masked pixels get none.

    For one thread to call at a time: the loops inside take all cores.
    """

    def __init__(
        self,
        volumes: Sequence[IntensitySpline],
        geometry: Geometry,
        *,
        gain: np.ndarray | None = None,
        background: np.ndarray | float = 0.0,
        extra: np.ndarray | float = 0.0,
        seed: int,
    ) -> None:
        """``gain`` [P]: photons per electron² (the geometry's by default).

        ``background``: mean photons of a shot whose background has strength 1; ``extra``: those of
        every shot (hot pixels). Over the whole detector, or one number for all pixels.
        """
        gain = geometry.gain if gain is None else gain
        self._reach, self._key = geometry.s_max, stream_key(seed, "photons")
        self._s_max = np.array([volume.s_max for volume in volumes])
        good = geometry.good
        means = {
            name: np.broadcast_to(values, len(geometry.mask))[good]
            for name, values in (("extra", extra), ("background", background))
        }
        check_rates(volumes, gain=gain[good], **means)
        self._screen = make_screen(good, geometry.s, gain)
        self._lookups = [make_lookup(volume, self._screen) for volume in volumes]
        self._additions = {}
        for slot, name in ((_EXTRA_SLOT, "extra"), (_BACKGROUND_SLOT, "background")):
            running = running_sum(pad(means[name]))
            if running[-1] > 0:
                self._additions[slot] = running, make_guide(running)
        self._capacity = 1024
        self._kept = np.empty((0, 0), np.int32), np.empty((0, 0), np.int32), np.empty(0, int)

    def draw(self, shots: Shots, first: int) -> Photons:
        """Return the photons of ``shots``, which are numbers ``first`` and on of the experiment.

        Pixels are flat detector indices, ascending in each row. Raises :class:`SamplingError` if a
        usable pixel lies outside a volume, or an exposure is none.
        """
        self._check(shots)
        rows = shots.offsets + np.arange(len(shots) + 1) * len(self._additions)
        if rows[-1] * self._capacity > _ENTRIES and len(shots) > 1:
            return self._draw_halves(shots, first)
        pixel, count, length = self._scratch(int(rows[-1]))
        self._fill(shots, first, rows, pixel, count, length)
        longest = int(length.max(initial=0))
        if longest > self._capacity:
            self._capacity = min(int(1.2 * longest), len(self._screen.flat))
            return self.draw(shots, first)
        offsets = np.concatenate([[0], np.cumsum(merged_lengths(pixel, length, rows))])
        merged = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int32)
        merge_rows(pixel, count, length, rows, offsets, *merged)
        return Photons(offsets=offsets, pixel=merged[0], count=merged[1])

    def _scratch(self, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return pixels and counts [rows, capacity] and lengths [rows]: the last ones, if they fit.

        Fresh memory would be faulted in, page by page, for every block.
        """
        kept = self._kept
        if len(kept[2]) < rows or kept[0].shape[1] != self._capacity:
            shape = rows, self._capacity
            self._kept = np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(rows, int)
        pixel, count, length = self._kept
        length[:rows] = 0
        return pixel[:rows], count[:rows], length[:rows]

    def _draw_halves(self, shots: Shots, first: int) -> Photons:
        half = len(shots) // 2
        one = self.draw(shots.part(0, half), first)
        return Photons.joined([one, self.draw(shots.part(half, len(shots)), first + half)])

    def _check(self, shots: Shots) -> None:
        if not len(shots.model):
            return
        if np.diff(shots.offsets).max() > _EXTRA_SLOT:
            raise SamplingError(
                f"a shot has {np.diff(shots.offsets).max()} exposures (particles × spectral lines);"
                f" {_EXTRA_SLOT} is the most"
            )
        check_exposures(shots, self._reach, self._s_max)

    def _fill(
        self,
        shots: Shots,
        first: int,
        rows: np.ndarray,
        pixel: np.ndarray,
        count: np.ndarray,
        length: np.ndarray,
    ) -> None:
        """Draw every exposure, and what is added to the shots, into its row."""
        shot = np.repeat(np.arange(len(shots)), np.diff(shots.offsets))
        slot = np.arange(len(shots.model)) - shots.offsets[shot]
        R = rotations.to_matrix(torch.from_numpy(shots.orientation)).numpy().reshape(-1, 9)
        R = R * shots.scale[:, None]
        for model, lookup in enumerate(self._lookups):
            mine = np.flatnonzero(shots.model == model)
            weight = shots.weight[mine]
            events = weight * lookup.running[-1]
            exposures = Exposures(
                row=rows[shot[mine]] + slot[mine],
                shot=first + shot[mine],
                slot=slot[mine],
                R=R[mine],
                weight=weight,
                # The envelope is that of unscaled scattering vectors.
                enveloped=(shots.scale[mine] == 1)
                & (events > 0)
                & (events < _ENVELOPED_BELOW * len(self._screen.flat)),
            )
            with parallel_chunksize(1):  # the batches are dealt out as the cores come free
                draw_exposures(lookup, self._screen, exposures, *self._key, pixel, count, length)
        for place, (slot, addition) in enumerate(self._additions.items(), 1):
            strength = shots.strength if slot == _BACKGROUND_SLOT else np.ones(len(shots))
            lit = np.flatnonzero(strength > 0)
            draw_background(
                self._screen,
                addition,
                first + lit,
                slot,
                strength[lit].astype(np.float64),
                rows[lit + 1] - place,
                *self._key,
                pixel,
                count,
                length,
            )
