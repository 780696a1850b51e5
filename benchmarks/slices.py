"""Central planes of intensity and density in the truth's frame, for the report."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core.errors import FormatError


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
        try:
            with np.load(path, allow_pickle=False) as data:
                arrays = {name: data[name] for name in cls.__annotations__}
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(f"{path} does not hold slices: {error}; run again") from error
        return cls(**{k: v if v.ndim else float(v) for k, v in arrays.items()})


def plane(reach: float, points: int) -> Float[Tensor, "P 3"]:
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


def image(flat: Float[Tensor, "P"]) -> np.ndarray:
    """Return the flat values of a plane as a square float32 image."""
    edge = math.isqrt(len(flat))
    return flat.reshape(edge, edge).numpy().astype(np.float32)
