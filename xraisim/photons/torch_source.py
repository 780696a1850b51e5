"""The photon draw in plain torch, for a GPU: the distribution of :mod:`xraisim.photons.source`.

Every usable pixel of every shot gets one 32-bit random word, and an upper bound of its λ from the
block of voxels that it falls in. A word w with w/2³² above the bound can only mean no photon; the
other pixels are packed, λ is looked up, and w decides by inversion (``torch_poisson``).
The bound only saves look-ups: the photons are those that λ and w alone give.

In plain torch every operation goes through the device's memory, which should limit a GPU. Counted,
as the bytes of the tensors that go into and come out of every operation: 0.44 kB per usable pixel
for its word, 0.33 kB for bound and comparison, and 4 kB per packed pixel. With one pixel in six
packed (50S subunit to 18 Å, 1,000 photons per pattern) that is 1.4 kB per pixel.

Philox counters: (block, stream, shot low, shot high). Stream 0 holds four pixels' words per block,
stream 1 + p the attempts at pixel p where it is bright. So a pattern depends on its number and the
key alone, whatever the batch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core.device import choose_device
from xraisim.core.errors import SamplingError
from xraisim.core.philox_torch import philox4x32
from xraisim.core.random import stream_key
from xraisim.core.types import Photons
from xraisim.instrument.detector import Geometry
from xraisim.photons.shots import Shots
from xraisim.photons.torch_poisson import poisson
from xraisim.photons.torch_shots import DeviceShots, upload, upload_shots
from xraisim.photons.torch_spline import SplineVolumes
from xraisim.scattering.intensity import IntensitySpline

_MARGIN = 1 + 1e-5  # on the bounds, for float32's rounding
_SLACK = 1 + 1e-6  # on |s|, for float32 scales; volumes have voxels to spare
_BYTES_PER_PIXEL = 320  # at most, where every pixel is packed
_MOST_PIXELS = 2**26  # at a time; beyond, launching kernels hardly costs anything
_CPU_PIXELS = 2**19


class TorchPhotonSource:
    """Draws patterns on one torch device.

    On one device, pattern i depends on the seed, i and its shot alone. Between devices, and from
    the CPU's :class:`PhotonSource`, only the distribution is the same. Raises
    :class:`SamplingError` if a usable pixel lies outside a volume, :class:`DeviceError` if the
    device is not there.
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
        device: str = "auto",
    ) -> None:
        """``gain``, ``background``, ``extra``: as for :class:`PhotonSource`."""
        self.device = choose_device(device)
        low, high = stream_key(seed, "photons-torch")
        self._key = int(low), int(high)
        self._s_max = geometry.s_max
        self._volume_s_max = np.array([volume.s_max for volume in volumes])
        self._spacing = np.array([volume.spacing for volume in volumes])
        self._check_reach(np.arange(len(volumes)), np.ones(len(volumes)))
        self._volumes = SplineVolumes(volumes, self.device)
        good, gain = geometry.good, geometry.gain if gain is None else gain
        self._flat = upload(good.astype(np.int32), self.device)
        self._s = upload(geometry.s[good].T.astype(np.float32), self.device)
        self._gain = upload(gain[good].astype(np.float32), self.device)
        self._background, self._extra = (
            upload(np.broadcast_to(x, len(geometry.mask))[good].astype(np.float32), self.device)
            for x in (background, extra)
        )
        self._shots_at_a_time = max(1, _room(self.device) // len(good))

    def draw(self, shots: Shots, first: int) -> Photons:
        """Return patterns ``first … first + n − 1`` with flat detector indices, ascending."""
        offsets, pixel, count = self.draw_on_device(shots, first)
        return Photons(
            offsets=offsets.cpu().numpy(), pixel=pixel.cpu().numpy(), count=count.cpu().numpy()
        )

    def draw_on_device(self, shots: Shots, first: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``offsets`` int64 [n + 1], ``pixel`` int32 and ``count`` int32 on the device.

        The compressed sparse rows of :class:`Photons`. Raises :class:`SamplingError` if an exposure
        needs a larger volume.
        """
        self._check_reach(shots.model, shots.scale)
        step = self._shots_at_a_time
        parts = [
            self._draw_batch(self._batch(shots.part(at, min(at + step, len(shots))), first + at))
            for at in range(0, len(shots), step)
        ]
        if not parts:
            empty = self._flat[:0]
            return torch.zeros(1, dtype=torch.int64, device=self.device), empty, empty
        length, pixel, count = (torch.cat(part) for part in zip(*parts, strict=True))
        return torch.nn.functional.pad(length.cumsum(0), (1, 0)), pixel, count

    def expected(self, shots: Shots) -> Float[Tensor, "n P"]:
        """Return λ of the usable pixels, float32 on the device: dense, for checks."""
        batch = self._batch(shots, 0)
        shot, pixel = torch.ones(
            len(shots), len(self._flat), dtype=torch.bool, device=self.device
        ).nonzero(as_tuple=True)
        return self._means(batch, shot, pixel).reshape(len(shots), -1)

    def _check_reach(self, model: np.ndarray, scale: np.ndarray) -> None:
        beyond = scale * self._s_max > self._volume_s_max[model] * _SLACK
        if beyond.any():
            which = int(np.argmax(beyond))
            raise SamplingError(
                f"pixels reach s = {scale[which] * self._s_max:.5g} Å⁻¹, the intensity volume was "
                f"made to {self._volume_s_max[model[which]]:.5g} Å⁻¹; make it for the largest s of "
                "the detector and the photon energies"
            )

    def _batch(self, shots: Shots, first: int) -> DeviceShots:
        return upload_shots(shots, first, self._spacing, self.device)

    def _draw_batch(self, batch: DeviceShots) -> tuple[Tensor, Tensor, Tensor]:
        """Return the entries per shot, and all their pixels and counts."""
        bounds = self._bounds(batch)
        words = self._words(batch.number)
        shot, pixel = (words < bounds.mul_(2.0**32 * _MARGIN)).nonzero(as_tuple=True)
        word = words[shot, pixel]
        del bounds, words
        mean = self._means(batch, shot, pixel)
        count = poisson(mean, word, 1 + pixel, batch.number[shot], self._key)
        lit = count.nonzero()[:, 0]
        length = torch.bincount(shot[lit], minlength=len(batch))
        return length, self._flat[pixel[lit]], count[lit]

    def _words(self, number: Int[Tensor, "n"]) -> Int[Tensor, "n P"]:
        """Return every pixel's word; the four of a block go to pixels a quarter apart."""
        pixels = len(self._flat)
        block = torch.arange(-(-pixels // 4), device=self.device)[None]
        low, high = number[:, None] & 0xFFFFFFFF, number[:, None] >> 32
        words = philox4x32(block, torch.zeros_like(block), low, high, self._key)
        return torch.cat(words, dim=1)[:, :pixels]

    def _bounds(self, batch: DeviceShots) -> Float[Tensor, "n P"]:
        """Return what λ cannot exceed, for every pixel."""

        def bound(_: Tensor, exposure: Tensor) -> Tensor:
            model = batch.model[exposure, None]
            rotation = batch.rotation[:, exposure, None]
            point = self._volumes.voxels(rotation, model, self._s[:, None])
            ceiling = self._volumes.ceilings(point, model)
            return ceiling.mul_(self._gain).mul_(batch.weight[exposure, None])

        shot = torch.arange(len(batch), device=self.device)
        added = batch.strength[:, None] * self._background + self._extra
        return batch.add_exposures(shot, added, bound)

    def _means(
        self, batch: DeviceShots, shot: Int[Tensor, "k"], pixel: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        """Return λ of single pixels."""

        def mean(row: Tensor, exposure: Tensor) -> Tensor:
            at, model = pixel[row], batch.model[exposure]
            point = self._volumes.voxels(batch.rotation[:, exposure], model, self._s[:, at])
            value = self._volumes.values(point, model)
            return value.mul_(self._gain[at]).mul_(batch.weight[exposure])

        added = batch.strength[shot] * self._background[pixel] + self._extra[pixel]
        return batch.add_exposures(shot, added, mean)


def _room(device: torch.device) -> int:
    """Return how many pixels to draw at a time: a quarter of the device's free memory."""
    if device.type != "cuda":
        return _CPU_PIXELS
    free, _ = torch.cuda.mem_get_info(device)
    return min(free // 4 // _BYTES_PER_PIXEL, _MOST_PIXELS)
