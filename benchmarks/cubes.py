"""Coarse densities in the truth's frame, from which the page draws surfaces."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from benchmarks.slices import load_arrays, sample
from xraisim.core.fourier import radius, reciprocal, to_density

CUBES_FILE = "cubes.npz"  # in the directory of a run
_POINTS = 48  # per edge: what a surface on a page can show
_FINEST = 0.4  # cycles per step of the cube: what is finer would come back as false lumps


@dataclass(frozen=True, kw_only=True)
class Cubes:
    """Densities [n, n, n] of a result and of the truth, indexed [x, y, z] in the truth's frame.

    In units of the largest value of each; from −``reach_angstrom`` to ``reach_angstrom``.
    """

    density: np.ndarray
    density_truth: np.ndarray
    reach_angstrom: float

    def save(self, path: Path) -> None:
        """Write the cubes to an ``.npz`` file; half precision is enough to look at."""
        np.savez_compressed(
            path,
            density=self.density.astype(np.float16),
            density_truth=self.density_truth.astype(np.float16),
            reach_angstrom=self.reach_angstrom,
        )

    @classmethod
    def load(cls, path: Path) -> "Cubes":
        """Read cubes; raises :class:`FormatError` for a file that does not hold them."""
        return cls(**load_arrays(path, list(cls.__annotations__), "cubes", axes=3))


def coarse_cubes(
    factors: tuple[Complex[Tensor, "H H H"], Complex[Tensor, "H H H"], float],
    matrix: Float[Tensor, "3 3"],
    s_max: float,
    reach_angstrom: float,
) -> Cubes:
    """Sample both densities on a cube of the truth's frame, ρ_true(r) = ρ_rec(Aᵀr).

    ``factors``: F of the result, of the truth and their spacing in Å⁻¹, in the frame of the
    reconstruction; ``matrix`` is A. Both are cut off at ``s_max``, or at what the cube can show.
    """
    spacing, grid = factors[2], factors[0].shape[0]
    axis = torch.linspace(-reach_angstrom, reach_angstrom, _POINTS)
    step = float(axis[1] - axis[0])
    beyond = radius(grid, spacing) > min(s_max, _FINEST / step)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    found, truth = (
        sample(
            to_density(F.masked_fill(beyond, 0), spacing),
            reciprocal(grid, spacing),
            points @ matrix,
        )
        for F in factors[:2]
    )
    return Cubes(
        density=_scaled(found), density_truth=_scaled(truth), reach_angstrom=reach_angstrom
    )  # fmt: skip


def _scaled(flat: Float[Tensor, "P"]) -> np.ndarray:
    values = flat.reshape((_POINTS,) * 3)
    return (values / values.abs().max().clamp_min(1e-30)).numpy()
