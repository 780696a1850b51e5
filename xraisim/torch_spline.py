"""Look-ups in intensity splines on torch tensors, and the bounds that spare most of them.

Sums and products only, one operation at a time and in a fixed order: an element's value is the
same to the last bit whichever others are looked up with it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.intensity import IntensitySpline

_BLOCK_BITS = 2  # blocks of 4³ voxels

Point = tuple[Tensor, Tensor, Tensor]


class SplineVolumes:
    """The coefficients of several intensity volumes, and the ceilings of their blocks of voxels.

    Arguments named ``model`` say which volume an element is looked up in (int64); they and the
    three coordinates broadcast.
    """

    def __init__(self, volumes: Sequence[IntensitySpline], device: torch.device) -> None:
        """Copy the volumes to ``device``."""
        coefficients = [torch.from_numpy(v.coefficients).to(device) for v in volumes]
        blocks = [block_ceilings(cube) for cube in coefficients]
        self._coefficients, self._base = _end_to_end(coefficients)
        self._ceilings, self._block_base = _end_to_end(blocks)
        self._grid = torch.tensor([len(cube) for cube in coefficients], device=device)
        self._blocks = torch.tensor([len(cube) for cube in blocks], device=device)

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
        x, y, z = ((coordinate + 0.5).int() >> _BLOCK_BITS for coordinate in point)
        blocks = self._blocks[model].int()
        x *= blocks
        x += y
        x *= blocks
        x += z
        # int32: the largest volume that may be made has 4·10⁶ blocks.
        x += self._block_base[model].int()
        return torch.index_select(self._ceilings, 0, x.reshape(-1)).reshape(x.shape)

    def values(self, point: Point, model: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Return |F|² in electrons², float32: the look-up of :func:`xraisim.photons.look_up`."""
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


def block_ceilings(coefficients: Float[Tensor, "G G G"]) -> Float[Tensor, "B B B"]:
    """Return, for every block of 4³ voxels, what max(0, spline) cannot exceed in it.

    Along an axis, the piece of a quadratic B-spline with coefficients a, b, c around a voxel lies
    between the least and the largest of (a + b)/2, b and (b + c)/2, its control values in Bézier
    form (Farin, Curves and Surfaces for CAGD, 2002). The weights of the other axes are positive and
    sum to 1, so the bounds of one axis may be bounded along the next.
    """
    for axis in range(3):
        line = coefficients.movedim(axis, -1)
        middle = 0.5 * (line[..., 1:] + line[..., :-1])
        control = torch.stack([line[..., :-1], middle], dim=-1).flatten(-2)
        blocks = (line.shape[-1] >> _BLOCK_BITS) + 1
        # Block b has the control values from 8b − 1 to 8b + 7: those on its faces are shared.
        after = 8 * blocks - control.shape[-1]
        padded = torch.nn.functional.pad(control, (1, after), value=-torch.inf)
        padded[..., control.shape[-1] + 1] = line[..., -1]
        coefficients = padded.unfold(-1, 9, 8).amax(-1).movedim(-1, axis)
    return coefficients.clamp(min=0).contiguous()


def _end_to_end(cubes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the cubes as one flat tensor, and where each begins (int64)."""
    ends = np.cumsum([0, *(cube.numel() for cube in cubes)])
    flat = torch.cat([cube.reshape(-1) for cube in cubes])
    return flat, torch.from_numpy(ends[:-1]).to(flat.device)


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
