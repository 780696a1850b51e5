"""Unit quaternions (w, x, y, z) and rotation matrices, batched over leading dimensions."""

import torch
from jaxtyping import Float
from torch import Tensor


def normalize(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Return the quaternion scaled to length one, with w ≥ 0 (q and −q are one rotation)."""
    unit = torch.nn.functional.normalize(quaternion, dim=-1)
    return torch.where(unit[..., :1] < 0, -unit, unit)


def multiply(
    left: Float[Tensor, "*#batch 4"], right: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*batch 4"]:
    """Hamilton product: the rotation ``right`` followed by ``left``."""
    w1, x1, y1, z1 = left.unbind(-1)
    w2, x2, y2, z2 = right.unbind(-1)
    return torch.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        dim=-1,
    )


def conjugate(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Return the inverse rotation."""
    return quaternion * quaternion.new_tensor([1.0, -1.0, -1.0, -1.0])


def to_matrix(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the rotation matrix R of a unit quaternion; ``R @ r`` rotates the vector r."""
    w, x, y, z = quaternion.unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(*quaternion.shape[:-1], 3, 3)


def from_matrix(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Return the unit quaternion (w ≥ 0) of a rotation matrix (Bar-Itzhack 2000, eigenvector form).

    The 4×4 symmetric matrix built from R has the quaternion as its eigenvector of eigenvalue one,
    which is well conditioned for every angle, 180° included.
    """
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    k = m.new_zeros(*m.shape[:-2], 4, 4)
    k[..., 0, 0] = trace
    vector = torch.stack(
        [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]],
        dim=-1,
    )
    k[..., 0, 1:] = vector
    k[..., 1:, 0] = vector
    identity = torch.eye(3, dtype=m.dtype, device=m.device)
    k[..., 1:, 1:] = m + m.transpose(-1, -2) - trace[..., None, None] * identity
    return normalize(torch.linalg.eigh(k).eigenvectors[..., -1])


def from_rotation_vector(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 4"]:
    """Return the quaternion of a rotation by |vector| radians about the vector."""
    half = 0.5 * vector.norm(dim=-1, keepdim=True)
    # sin(half)/(2 half), written with sinc so that it holds at zero angle.
    return torch.cat([torch.cos(half), 0.5 * torch.sinc(half / torch.pi) * vector], dim=-1)


def angle_between(
    left: Float[Tensor, "*#batch 4"], right: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*batch"]:
    """Return the geodesic angle in radians, 0 … π, between two rotations.

    Uses the vector part of left⁻¹·right: arccos of the scalar part loses half its digits near zero.
    """
    relative = multiply(conjugate(left), right)
    return 2 * torch.atan2(relative[..., 1:].norm(dim=-1), relative[..., 0].abs())
