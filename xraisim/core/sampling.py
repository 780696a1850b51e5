"""Cut Ewald slices out of a volume, and put slices back: the forward operator and its adjoint.

On the CPU both run as fused numba loops; elsewhere, and as the reference the loops are tested
against, as plain torch. One operator serves simulator, reconstructors and metrics.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from xraisim.core.dispatch import in_loops
from xraisim.core.errors import DivergedError, SamplingError
from xraisim.core.kernels import sampling as kernels

_ROUNDING = 2.0**-21  # of the edge: what a coordinate in float32 may be off, and more
_NO_ROTATION = 0.01  # rows and columns of a rotation are nearer to length 1
_LONGEST_EDGE = 1625  # voxels: the compiled loops number a cube's in 32 bits
_PARTIAL_VOXELS = 2**26  # partial sums of the adjoint may hold 256 MB


def check_inside(
    s: Tensor, grid: int, spacing: float, rotation: Float[Tensor, "*n 3 3"] | None = None
) -> None:
    """Raise unless every pixel stays inside the cube, turned by every ``rotation`` (default: any).

    The loops behind this take coordinates for places in memory: what is not finite, or no rotation,
    does not get there. :class:`SamplingError` for pixels, :class:`DivergedError` for rotations.
    """
    if s.ndim != 2 or s.shape[1] != 3:
        raise SamplingError(f"s has shape {tuple(s.shape)}; expected three numbers per pixel")
    if grid > _LONGEST_EDGE:
        raise SamplingError(
            f"the volume has {grid:,} voxels along an edge; at most {_LONGEST_EDGE:,} can be "
            "numbered: sample it more coarsely, or cut it off at a lower resolution"
        )
    stretch = 1.0 if rotation is None else _stretch(rotation)
    reach = float(s.detach().norm(dim=-1).max()) / spacing if len(s) else 0.0
    farthest = reach * stretch + grid * _ROUNDING
    if not math.isfinite(farthest):
        raise SamplingError("the pixels' scattering vectors are not all finite; mask those pixels")
    if farthest >= (grid - 1) // 2:
        raise SamplingError(
            f"pixels reach |s| = {reach * spacing:.5g} Å⁻¹ but the {grid}³ volume with spacing "
            f"{spacing:.3g} Å⁻¹ ends at {(grid - 1) // 2 * spacing:.5g} Å⁻¹; use at least "
            f"{2 * int(farthest + 1) + 1} voxels per edge or cut the pixels at a lower resolution"
        )


def _stretch(rotation: Float[Tensor, "*n 3 3"]) -> float:
    """Return by how much rotations lengthen a coordinate at most: 1, but for rounding."""
    if not rotation.numel():
        return 1.0
    length = rotation.detach().square().sum(-2).sqrt()
    if not float((length - 1).abs().max()) < _NO_ROTATION:
        bad = ~((length - 1).abs() < _NO_ROTATION).all(-1)
        raise DivergedError(
            f"{int(bad.sum())} of {bad.numel()} orientations are no rotations (not finite, or not "
            "of length 1): what they were found with has run away, or its input was damaged"
        )
    return float(length.max())


def check_cube(volume: Tensor) -> None:
    """Raise :class:`SamplingError` unless a volume has three equal edges."""
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise SamplingError(f"the volume has shape {tuple(volume.shape)}; expected a cube")


def slice_volume(
    volume: Float[Tensor, "G G G"],
    rotation: Float[Tensor, "n 3 3"],
    s: Float[Tensor, "P 3"],
    spacing: float,
) -> Float[Tensor, "n P"]:
    """Return V(Rᵀ s) by trilinear interpolation, differentiable in volume and rotation.

    ``volume`` is float32 with s = 0 at voxel G // 2 and ``spacing`` Å⁻¹ between voxels; ``s`` is
    in Å⁻¹. Raises as :func:`check_inside` if a pixel leaves the cube.
    """
    check_cube(volume)
    loops = in_loops(volume.device)
    check_inside(s, volume.shape[0], spacing, rotation if loops else None)
    if loops:
        return _SliceCpu.apply(volume, rotation, s, spacing)  # type: ignore[no-untyped-call]
    return slice_volume_reference(volume, rotation, s, spacing)


def insert_slices(
    values: Float[Tensor, "n P"],
    rotation: Float[Tensor, "n 3 3"],
    s: Float[Tensor, "P 3"],
    spacing: float,
    grid: int,
) -> Float[Tensor, "G G G"]:
    """Return the adjoint of :func:`slice_volume`: scatter slices into a cube of ``grid`` voxels."""
    _check_slices((values,), rotation, s, spacing, grid)
    if in_loops(values.device):
        return _insert_cpu(values, rotation, s, spacing, grid)
    return insert_slices_reference(values, rotation, s, spacing, grid)


def insert_slice_pairs(
    first: Float[Tensor, "n P"],
    second: Float[Tensor, "n P"],
    rotation: Float[Tensor, "n 3 3"],
    s: Float[Tensor, "P 3"],
    spacing: float,
    grid: int,
) -> tuple[Float[Tensor, "G G G"], Float[Tensor, "G G G"]]:
    """Return :func:`insert_slices` of two sets of values at the same places, in one go."""
    _check_slices((first, second), rotation, s, spacing, grid)
    if not in_loops(first.device):
        where = (rotation, s, spacing, grid)
        return insert_slices_reference(first, *where), insert_slices_reference(second, *where)
    partial = kernels.insert_pairs(
        as_numpy(first), as_numpy(second), grid, as_numpy(rotation), as_rows(s),
        np.float32(1 / spacing), _parts(grid),
    )  # fmt: skip
    both = torch.from_numpy(partial.sum(0)).reshape(grid, grid, grid, 2)
    return both[..., 0], both[..., 1]


def _check_slices(
    values: tuple[Tensor, ...], rotation: Tensor, s: Tensor, spacing: float, grid: int
) -> None:
    """Raise unless slices fit to their rotations and pixels, and these into the cube."""
    check_inside(s, grid, spacing, rotation if in_loops(s.device) else None)
    expected = len(rotation), len(s)
    for one in values:
        if one.shape != expected:
            raise SamplingError(f"slices of shape {tuple(one.shape)}; expected {expected}")


def slice_points(
    rotation: Float[Tensor, "n 3 3"], s: Float[Tensor, "P 3"], spacing: float, grid: int
) -> Float[Tensor, "n P 3"]:
    """Return Rᵀs with the centres of the first and the last voxel at −1 and 1 (odd ``grid``)."""
    return s @ (rotation * (2 / ((grid - 1) * spacing)))


def look_up_points(
    volume: Float[Tensor, "G G G"], points: Float[Tensor, "n P 3"]
) -> Float[Tensor, "n P"]:
    """Return trilinear look-ups at points of :func:`slice_points`: one kernel on a device."""
    # The sampler's last axis comes first in its coordinates.
    cube = volume.permute(2, 1, 0)[None, None]
    found = torch.nn.functional.grid_sample(cube, points[None, :, :, None], align_corners=True)
    return found.view(points.shape[:2])


def insert_points(
    values: Float[Tensor, "n P"], points: Float[Tensor, "n P 3"], grid: int
) -> Float[Tensor, "G G G"]:
    """Return the adjoint of :func:`look_up_points`, scattered into a cube of ``grid`` voxels."""
    cube = values.new_zeros(()).expand(1, 1, grid, grid, grid)  # its values do not matter
    adjoint = torch.ops.aten.grid_sampler_3d_backward(
        values[None, None, :, :, None], cube, points[None, :, :, None], 0, 0, True, [True, False]
    )
    return adjoint[0][0, 0].permute(2, 1, 0)


def slice_and_turn_reference(
    volume: Float[Tensor, "G G G"],
    rotation: Float[Tensor, "n 3 3"],
    s: Float[Tensor, "P 3"],
    spacing: float,
) -> tuple[Float[Tensor, "n P"], Float[Tensor, "n P 3"]]:
    """Return V(Rᵀs) and its derivative by ω for R ← R·exp(ω): dV/dω = −r × ∇V at r = Rᵀs.

    ∇V is that of the trilinear interpolant. Any device and dtype.
    """
    with torch.enable_grad():
        points = slice_points(rotation, s, spacing, volume.shape[0]).detach().requires_grad_()
        value = look_up_points(volume.detach(), points)
        (gradient,) = torch.autograd.grad(value.sum(), points)
    # The points' scale and that of the gradient cancel.
    return value.detach(), torch.linalg.cross(gradient, points.detach(), dim=-1)


def slice_volume_reference(
    volume: Float[Tensor, "G G G"],
    rotation: Float[Tensor, "n 3 3"],
    s: Float[Tensor, "P 3"],
    spacing: float,
) -> Float[Tensor, "n P"]:
    """Plain torch form of :func:`slice_volume`, any device and dtype."""
    return look_up_points(volume, slice_points(rotation, s, spacing, volume.shape[0]))


def insert_slices_reference(
    values: Float[Tensor, "n P"],
    rotation: Float[Tensor, "n 3 3"],
    s: Float[Tensor, "P 3"],
    spacing: float,
    grid: int,
) -> Float[Tensor, "G G G"]:
    """Plain torch form of :func:`insert_slices`, any device and dtype."""
    return insert_points(values, slice_points(rotation, s, spacing, grid), grid)


def as_numpy(tensor: Tensor) -> Float32[np.ndarray, "..."]:
    """Return a contiguous array that shares memory where it can."""
    return tensor.detach().float().contiguous().numpy()


def as_rows(s: Float[Tensor, "P 3"]) -> Float32[np.ndarray, "3 P"]:
    """Return pixels as the three contiguous rows that the kernels read."""
    return as_numpy(s.T)


def _parts(grid: int) -> int:
    """Return how many partial volumes the adjoint sums.

    It follows the grid alone: more would cost memory, and a number that followed the machine would
    change the rounding from one machine to the next.
    """
    return int(np.clip(_PARTIAL_VOXELS // grid**3, 2, 8))


def _insert_cpu(values: Tensor, rotation: Tensor, s: Tensor, spacing: float, grid: int) -> Tensor:
    partial = kernels.insert_forward(
        as_numpy(values), grid, as_numpy(rotation), as_rows(s), np.float32(1 / spacing),
        _parts(grid),
    )  # fmt: skip
    return torch.from_numpy(partial.sum(0)).reshape(grid, grid, grid)


class _SliceCpu(torch.autograd.Function):
    """The numba slice with its own backward pass."""

    @staticmethod
    def forward(ctx: Any, volume: Tensor, rotation: Tensor, s: Tensor, spacing: float) -> Tensor:
        ctx.save_for_backward(volume, rotation, s)
        ctx.spacing = spacing
        out = kernels.slice_forward(
            as_numpy(volume).reshape(-1),
            volume.shape[0],
            as_numpy(rotation),
            as_rows(s),
            np.float32(1 / spacing),
        )
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        volume, rotation, s = ctx.saved_tensors
        grid = volume.shape[0]
        grad_volume = grad_rotation = None
        if ctx.needs_input_grad[0]:
            grad_volume = _insert_cpu(grad, rotation, s, ctx.spacing, grid)
        if ctx.needs_input_grad[1]:
            grad_rotation = torch.from_numpy(
                kernels.rotation_backward(
                    as_numpy(volume).reshape(-1),
                    grid,
                    as_numpy(rotation),
                    as_rows(s),
                    np.float32(1 / ctx.spacing),
                    as_numpy(grad),
                )
            )
        return grad_volume, grad_rotation, None, None
