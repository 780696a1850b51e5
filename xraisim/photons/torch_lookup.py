"""Look-ups in intensity splines on torch tensors, and the bounds that spare most of them.

Sums and products only, one operation at a time and in a fixed order: an element's value is the
same to the last bit whichever others are looked up with it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from xraisim.photons.kernels.lookup import BLOCK_BITS, upper_bounds
from xraisim.scattering.intensity import IntensitySpline

Point = tuple[Tensor, Tensor, Tensor]


class SplineVolumes:
    """The coefficients of several intensity volumes, and the ceilings of their blocks of voxels.

    Arguments named ``model`` say which volume an element is looked up in (int64); they and the
    three coordinates broadcast.
    """

    def __init__(self, volumes: Sequence[IntensitySpline], device: torch.device) -> None:
        """Copy the volumes to ``device``."""
        ceilings = [upper_bounds(volume.coefficients)[0] for volume in volumes]
        self._coefficients, self._base = _end_to_end([v.coefficients for v in volumes], device)
        self._ceilings, self._block_base = _end_to_end(ceilings, device)
        self._grid = torch.tensor([volume.grid for volume in volumes], device=device)
        self._blocks = torch.tensor([len(c) for c in ceilings], device=device)

    def voxels(
        self, rotation: Float[Tensor, "9 *#a"], model: Int[Tensor, "*#a"], s: Float[Tensor, "3 *#b"]
    ) -> Point:
        """Return Rᵀ s in voxels from the corner of the cube, float32.

        ``rotation`` holds R row by row, divided by the volume's spacing.
        """
        centre = (self._grid[model] // 2).float()
        x, y, z = (_along(rotation[i::3], s, centre) for i in range(3))
        return x, y, z

    def ceilings(self, point: Point, model: Int[Tensor, "*#a"]) -> Float[Tensor, "..."]:
        """Return what the values at the points cannot exceed, float32: one look-up each."""
        x, y, z = ((coordinate + 0.5).int() >> BLOCK_BITS for coordinate in point)
        blocks = self._blocks[model].int()
        x *= blocks
        x += y
        x *= blocks
        x += z
        # int32: the largest volume that may be made has 4·10⁶ blocks.
        x += self._block_base[model].int()
        return torch.index_select(self._ceilings, 0, x.reshape(-1)).reshape(x.shape)

    def values(self, point: Point, model: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Return |F|² in electrons², float32: the look-up of :func:`look_up`."""
        middle = [torch.floor(coordinate + 0.5) for coordinate in point]
        wx, wy, wz = (_weights(p - m) for p, m in zip(point, middle, strict=True))
        x, y, z = (m.long() - 1 for m in middle)
        grid = self._grid[model]
        line = (x * grid + y) * grid + z + self._base[model]
        total = torch.zeros_like(middle[0])
        for i in range(3):
            plane = torch.zeros_like(total)
            for j in range(3):
                at = line + (i * grid + j) * grid
                plane += wy[j] * self._row(at, wz)
            total += wx[i] * plane
        return total.clamp_(min=0)

    def _row(self, at: Tensor, weight: Point) -> Tensor:
        total = torch.take(self._coefficients, at) * weight[0]
        for step in (1, 2):  # a shifted view instead of shifted indices
            total += torch.take(self._coefficients[step:], at) * weight[step]
        return total


def _end_to_end(
    cubes: Sequence[Float32[np.ndarray, "_ _ _"]], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the cubes as one flat tensor, and where each begins (int64)."""
    ends = np.cumsum([0, *(cube.size for cube in cubes)])
    flat = torch.cat([torch.from_numpy(cube).reshape(-1) for cube in cubes])
    return flat.to(device), torch.from_numpy(ends[:-1]).to(device)


def _along(column: Tensor, s: Tensor, centre: Tensor) -> Tensor:
    total = column[0] * s[0]
    total += column[1] * s[1]
    total += column[2] * s[2]
    total += centre
    return total


def _weights(t: Tensor) -> Point:
    """Return the quadratic B-spline's weights of three neighbours, t from −½ to ½."""
    low, high = 0.5 - t, 0.5 + t
    return 0.5 * low * low, 0.75 - t * t, 0.5 * high * high
