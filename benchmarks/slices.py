"""Central planes of intensity and density in the truth's frame, for the report."""

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import npy
from xraisim.core.errors import FormatError, reading
from xraisim.core.fourier import radius, reciprocal, to_density

SLICES_FILE = "slices.npz"  # in the directory of a run


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Planes [n, n] float32 of a result and of the truth, all in the truth's frame.

    ``intensity`` in electrons² on the plane z = 0 of reciprocal space, half-width
    ``reach_per_angstrom``; ``density`` in arbitrary units on the plane z = 0, half-width
    ``reach_angstrom``.
    """

    intensity: np.ndarray
    intensity_truth: np.ndarray
    reach_per_angstrom: float
    density: np.ndarray
    density_truth: np.ndarray
    reach_angstrom: float

    def save(self, path: Path) -> None:
        """Write the planes to an ``.npz`` file."""
        np.savez_compressed(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> "Slices":
        """Read planes; raises :class:`FormatError` for a file that does not hold them."""
        return cls(**load_arrays(path, list(cls.__annotations__), "slices", axes=2))


def load_arrays(path: Path, names: Sequence[str], what: str, axes: int) -> dict[str, Any]:
    """Read arrays with so many axes from an ``.npz`` file; those called ``reach…`` are numbers.

    Raises :class:`FormatError` for a file that does not hold them; ``what`` names its content.
    """
    with reading(path, f"file of {what}", "run again"):
        with zipfile.ZipFile(path) as archive:
            found = {name: _value(archive, name) for name in names}
        for name, value in found.items():
            array = isinstance(value, np.ndarray)
            if array == name.startswith("reach") or (array and value.ndim != axes):
                raise FormatError(f"{path}: {name} has another shape than {what} have")
        return found


def _value(archive: zipfile.ZipFile, name: str) -> Any:
    with archive.open(f"{name}.npy") as member:
        array = npy.read_data(member, npy.read_header(member))
    return array if array.ndim else float(array)


def central_slices(
    intensity: tuple[Tensor, Tensor, float],
    factors: tuple[Tensor, Tensor, float],
    matrix: Float[Tensor, "3 3"],
    s_max: float,
    reach_angstrom: float,
    points: int,
) -> Slices:
    """Cut the planes z = 0 of the truth's frame, V_true(s) = V_rec(Aᵀs) and ρ likewise.

    ``intensity`` and ``factors`` hold the result, the truth and their spacing in Å⁻¹, both in the
    frame of the reconstruction; ``matrix`` is A. The truth's density is cut off at ``s_max`` as the
    result's is.
    """
    s_plane = _plane(s_max, points)
    outside = s_plane.norm(dim=1) > s_max
    bright, bright_truth = (
        _image(sample(values, intensity[2], s_plane @ matrix).masked_fill(outside, 0.0))
        for values in intensity[:2]
    )
    grid, spacing = factors[0].shape[0], factors[2]
    beyond = radius(grid, spacing) > s_max
    r_plane = _plane(reach_angstrom, points) @ matrix
    dense, dense_truth = (
        _image(
            sample(
                to_density(F.masked_fill(beyond, 0), spacing), reciprocal(grid, spacing), r_plane
            )
        )
        for F in factors[:2]
    )
    return Slices(
        intensity=bright,
        intensity_truth=bright_truth,
        reach_per_angstrom=s_max,
        density=dense,
        density_truth=dense_truth,
        reach_angstrom=reach_angstrom,
    )


def _plane(reach: float, points: int) -> Float[Tensor, "P 3"]:
    """Return the points of the plane z = 0 up to ±``reach``, in the order of an image [x, y]."""
    axis = torch.linspace(-reach, reach, points)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3)


def sample(
    values: Float[Tensor, "G G G"], spacing: float, points: Float[Tensor, "P 3"]
) -> Float[Tensor, "P"]:
    """Return trilinear values at positions in units of ``spacing``; zero outside the cube."""
    half = values.shape[0] // 2 * spacing
    # grid_sample wants the last axis first, and coordinates from −1 to 1.
    grid = (points / half).flip(-1).reshape(1, 1, 1, -1, 3)
    out = torch.nn.functional.grid_sample(
        values[None, None], grid.to(values), align_corners=True, padding_mode="zeros"
    )
    return out.reshape(-1)


def _image(flat: Float[Tensor, "P"]) -> np.ndarray:
    """Return the flat values of a plane as a square float32 image."""
    edge = math.isqrt(len(flat))
    return flat.reshape(edge, edge).numpy().astype(np.float32)
