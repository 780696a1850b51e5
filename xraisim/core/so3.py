"""Sampling of the rotation group: Haar draws, near-uniform grids, local perturbations.

A grid of views × in-plane angles is made of directions (:func:`spiral`), the turns that bring them
onto the beam (:func:`to_beam`), and turns about it (:func:`about_beam`).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations

_PSI = 1.533751168755204288118041  # root of ψ⁴ = ψ + 4 (Alexa, CVPR 2022, eq. 6)
_GOLDEN = (1 + math.sqrt(5)) / 2


def super_fibonacci(n: int) -> Float[Tensor, "n 4"]:
    """Return ``n`` near-uniform rotations as quaternions, float32 (Alexa, CVPR 2022)."""
    if n < 1:
        raise ValueError(f"a rotation grid needs at least one rotation, found n = {n}")
    s = torch.arange(n, dtype=torch.float64) + 0.5
    inner, outer = torch.sqrt(s / n), torch.sqrt(1 - s / n)
    alpha, beta = 2 * math.pi * s / math.sqrt(2.0), 2 * math.pi * s / _PSI
    grid = [
        inner * torch.sin(alpha),
        inner * torch.cos(alpha),
        outer * torch.sin(beta),
        outer * torch.cos(beta),
    ]
    return torch.stack(grid, dim=-1).float()


def spiral(n: int) -> Float[Tensor, "n 3"]:
    """Return ``n`` near-uniform unit vectors from +z to −z, a Fibonacci spiral (González 2010).

    Float64.
    """
    if n < 1:
        raise ValueError(f"a grid of directions needs at least one, found n = {n}")
    step = torch.arange(n, dtype=torch.float64)
    z = 1 - (2 * step + 1) / n
    azimuth = 2 * math.pi * step / _GOLDEN
    rim = torch.sqrt(1 - z**2)
    return torch.stack([rim * torch.cos(azimuth), rim * torch.sin(azimuth), z], dim=-1)


def to_beam(directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """Return the shortest turns that take directions of length 1 to the z axis, float64."""
    x, y, z = directions.double().unbind(1)
    quaternion = torch.stack([1 + z, y, -x, torch.zeros_like(z)], 1)
    quaternion[z < -1 + 1e-12] = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    return rotations.normalize(quaternion)


def about_beam(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 4"]:
    """Return turns about the z axis by ``angle`` (radians)."""
    zero = torch.zeros_like(angle)
    return torch.stack([torch.cos(angle / 2), zero, zero, torch.sin(angle / 2)], -1)


def spacing(n: int) -> float:
    """Return the mean angle in radians between neighbours in a grid of ``n`` rotations.

    SO(3) has volume 8π² in the metric where a rotation by a small angle ω has length ω, so each of
    n cells is a cube of edge (8π²/n)^⅓.
    """
    return (8 * math.pi**2 / n) ** (1 / 3)


def grid_size(spacing_rad: float) -> int:
    """Return how many rotations give a grid of mean spacing ``spacing_rad``."""
    return math.ceil(8 * math.pi**2 / spacing_rad**3)


def haar(n: int, generator: torch.Generator) -> Float[Tensor, "n 4"]:
    """Draw ``n`` uniform random rotations, float32, on the generator's device."""
    normal = torch.randn(n, 4, generator=generator, device=generator.device)
    return rotations.normalize(normal)


def haar_from_uniforms(u: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """Map three uniforms on [0, 1) to a uniform random rotation (Shoemake 1992)."""
    a, b = torch.sqrt(1 - u[:, 0]), torch.sqrt(u[:, 0])
    t1, t2 = 2 * math.pi * u[:, 1], 2 * math.pi * u[:, 2]
    quaternion = [b * torch.cos(t2), a * torch.sin(t1), a * torch.cos(t1), b * torch.sin(t2)]
    return rotations.normalize(torch.stack(quaternion, dim=-1))


def perturb(
    quaternion: Float[Tensor, "n 4"], copies: int, sigma_rad: float, generator: torch.Generator
) -> Float[Tensor, "n copies 4"]:
    """Return ``copies`` random neighbours of each rotation, rotation vectors N(0, σ²) per axis."""
    vector = sigma_rad * torch.randn(
        len(quaternion), copies, 3, generator=generator, device=generator.device
    )
    return rotations.multiply(quaternion[:, None], rotations.from_rotation_vector(vector))


def in_plane_mate(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Return the near-symmetric orientation: the particle turned by 180° about the beam.

    Friedel's law makes V(−s) = V(s), and a nearly flat Ewald sphere makes Rz(180°) s ≈ −s, so the
    two orientations give almost the same pattern.
    """
    half_turn = quaternion.new_tensor([0.0, 0.0, 0.0, 1.0])
    return rotations.multiply(half_turn.expand_as(quaternion), quaternion)
