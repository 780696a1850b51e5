"""The draw in plain torch, for a GPU: the distribution of :mod:`xraisim.photons.draw`.

:class:`ExpectedPhotons` is λ in plain numpy. Here every usable pixel of every shot gets one 32-bit
random word, and an upper bound of its λ from the block of voxels that it falls in. A word w with
w/2³² above the bound can only mean no photon; the other pixels are packed, λ is looked up, and w
decides by inversion (``torch_poisson``). The bound only saves look-ups: the photons are those that
λ and w alone give.

In plain torch every operation goes through the device's memory, which should limit a GPU. Counted,
as the bytes of the tensors that go into and come out of every operation: 0.44 kB per usable pixel
for its word, 0.33 kB for bound and comparison, and 4 kB per packed pixel. With one pixel in six
packed (50S subunit to 18 Å, 1,000 photons per pattern) that is 1.4 kB per pixel.

Philox counters: (block, stream, shot low, shot high). Stream 0 holds four pixels' words per block,
stream 1 + p the attempts at pixel p where it is bright. So a pattern depends on its number and the
key alone, whatever the batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Num
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.device import choose_device
from xraisim.core.philox_torch import philox4x32
from xraisim.core.random import stream_key
from xraisim.core.types import Photons
from xraisim.photons.expected import ExpectedPhotons, check_exposures
from xraisim.photons.shots import Shots
from xraisim.photons.torch_lookup import SplineVolumes
from xraisim.photons.torch_poisson import poisson

_MARGIN = 1 + 1e-5  # on the bounds, for float32's rounding
_BYTES_PER_PIXEL = 320  # at most, where every pixel is packed
_MOST_PIXELS = 2**26  # at a time; beyond, launching kernels hardly costs anything
_CPU_PIXELS = 2**19


class TorchPhotonSampler:
    """Draws patterns on one torch device.

    On one device, pattern i depends on the seed, i and its shot alone. Between devices, and from
    the CPU's :class:`PhotonSampler`, only the distribution is the same. ``version``: as there,
    counted apart. Raises :class:`DeviceError` if the device is not there.
    """

    version: ClassVar[int] = 1

    def __init__(self, expected: ExpectedPhotons, *, seed: int, device: str = "auto") -> None:
        """``expected`` is copied to the device, and not needed any more."""
        self.device = choose_device(device)
        low, high = stream_key(seed, "photons-torch")
        self._key = int(low), int(high)
        self._s_max, self._volume_s_max = expected.s_max, expected.volume_s_max
        self._spacing = np.array([volume.spacing for volume in expected.volumes])
        self._volumes = SplineVolumes(expected.volumes, self.device)
        self._flat = _upload(expected.usable.astype(np.int32), self.device)
        self._s = _upload(expected.s.T.astype(np.float32), self.device)
        self._gain, self._background, self._extra = (
            _upload(values.astype(np.float32), self.device)
            for values in (expected.gain, expected.background, expected.extra)
        )
        self._shots_at_a_time = max(1, _room(self.device) // len(expected.usable))

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
        check_exposures(shots, self._s_max, self._volume_s_max)
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

    def _batch(self, shots: Shots, first: int) -> "DeviceShots":
        return _upload_shots(shots, first, self._spacing, self.device)

    def _draw_batch(self, batch: "DeviceShots") -> tuple[Tensor, Tensor, Tensor]:
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

    def _bounds(self, batch: "DeviceShots") -> Float[Tensor, "n P"]:
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
        self, batch: "DeviceShots", shot: Int[Tensor, "k"], pixel: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        """Return λ of single pixels."""

        def mean(row: Tensor, exposure: Tensor) -> Tensor:
            at, model = pixel[row], batch.model[exposure]
            point = self._volumes.voxels(batch.rotation[:, exposure], model, self._s[:, at])
            value = self._volumes.values(point, model)
            return value.mul_(self._gain[at]).mul_(batch.weight[exposure])

        added = batch.strength[shot] * self._background[pixel] + self._extra[pixel]
        return batch.add_exposures(shot, added, mean)


@dataclass(frozen=True, kw_only=True)
class DeviceShots:
    """A batch on the device: n shots with m exposures.

    Shot i has those from ``start[i]`` on, ``exposures[i]`` of them. ``number``: the patterns'
    numbers. ``rotation``: R row by row, times the exposure's scale over its volume's spacing, so
    that it turns Å⁻¹ into voxels. The others as in :class:`Shots`.
    """

    number: Int[Tensor, "n"]
    start: Int[Tensor, "n"]
    exposures: Int[Tensor, "n"]
    most_exposures: int
    strength: Float[Tensor, "n"]
    rotation: Float[Tensor, "9 m"]
    model: Int[Tensor, "m"]
    weight: Float[Tensor, "m"]

    def __len__(self) -> int:
        return len(self.number)

    def add_exposures(
        self,
        shot: Int[Tensor, "k"],
        total: Float[Tensor, "k *rest"],
        term: Callable[[Tensor, Tensor], Tensor],
    ) -> Float[Tensor, "k *rest"]:
        """Add to the rows of ``total`` what ``term(row, exposure)`` gives for their shots.

        It is called with int64 rows and the one exposure of each, first exposures first, so that
        the rounding of a sum does not depend on the batch.
        """
        for j in range(self.most_exposures):
            row = (self.exposures[shot] > j).nonzero()[:, 0]
            total.index_add_(0, row, term(row, self.start[shot[row]] + j))
        return total


def _upload_shots(
    shots: Shots, first: int, spacing: Float64[np.ndarray, "models"], device: torch.device
) -> DeviceShots:
    """Copy shots to ``device``: patterns ``first`` and on; ``spacing`` of the volumes in Å⁻¹."""
    exposures, model = np.diff(shots.offsets), shots.model.astype(np.int64)
    per_voxel = (shots.scale / spacing[model]).astype(np.float32)
    rotation = rotations.to_matrix(torch.from_numpy(shots.orientation)).numpy()
    return DeviceShots(
        number=_upload(np.arange(first, first + len(shots)), device),
        start=_upload(shots.offsets[:-1], device),
        exposures=_upload(exposures, device),
        most_exposures=int(exposures.max(initial=0)),
        strength=_upload(shots.strength, device),
        rotation=_upload((rotation.reshape(-1, 9) * per_voxel[:, None]).T, device),
        model=_upload(model, device),
        weight=_upload(shots.weight, device),
    )


def _upload(array: Num[np.ndarray, "..."], device: torch.device) -> Tensor:
    """Copy an array to ``device``."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _room(device: torch.device) -> int:
    """Return how many pixels to draw at a time: a quarter of the device's free memory."""
    if device.type != "cuda":
        return _CPU_PIXELS
    free, _ = torch.cuda.mem_get_info(device)
    return min(free // 4 // _BYTES_PER_PIXEL, _MOST_PIXELS)
