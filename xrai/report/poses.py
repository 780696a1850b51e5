"""Pictures of the poses: how far apart they are, and how far the encoder's are from them."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from xraisim.core.symmetry import angle_modulo_mate, point_group
from xraisim.figure_axes import COLOURS

_MOST_POSES = 20_000


@dataclass(frozen=True, kw_only=True)
class Spacing:
    """Angles from poses to their nearest neighbours, degrees, float64 [n]; n poses were taken."""

    angle_deg: np.ndarray

    @property
    def uniform_median_deg(self) -> float:
        """The median for n uniform, independent poses.

        A ball of angle θ holds (θ − sin θ)/π ≈ θ³/(6π) of all rotations, and n of them leave it
        empty with the probability exp(−n θ³/(6π)).
        """
        count = len(self.angle_deg)
        return float(np.rad2deg((6 * np.pi * np.log(2) / count) ** (1 / 3)))


def nearest_neighbours(orientations: np.ndarray) -> Spacing:
    """Return the angles between neighbours among at most 20,000 poses [N, 4], evenly chosen."""
    some = np.unique(np.linspace(0, len(orientations) - 1, _MOST_POSES).astype(int))
    pose = orientations[some].astype(np.float64)
    # q and −q are one rotation: both are in the tree, so the nearest of either is found.
    tree = cKDTree(np.concatenate([pose, -pose]))
    chord = tree.query(pose, k=2)[0][:, 1]
    return Spacing(angle_deg=np.rad2deg(4 * np.arcsin(np.clip(chord / 2, 0, 1))))


def spacing(found: Spacing) -> Figure:
    """Return the histogram of the angles, beside what uniform poses would give."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    top = max(float(np.quantile(found.angle_deg, 0.998)), 2.5 * found.uniform_median_deg)
    _, edges, _ = axes.hist(
        np.minimum(found.angle_deg, top), bins=60, range=(0, top), color="0.6", label="poses"
    )
    count = len(found.angle_deg)
    empty = np.exp(-count * np.deg2rad(edges) ** 3 / (6 * np.pi))
    centres = (edges[1:] + edges[:-1]) / 2
    axes.plot(centres, -count * np.diff(empty), color=COLOURS[1], label="uniform, by chance")
    axes.set(xlabel="angle to the nearest neighbour (degrees)", ylabel="patterns")
    axes.legend(frameon=False, fontsize=9)
    return figure


def encoder_angles(poses: dict[str, np.ndarray], symmetry: str = "C1") -> np.ndarray | None:
    """Return how far the encoder's first choices are from the poses, degrees.

    Modulo the near-symmetric mate and the particle's point group; None where the encoder has not
    said anything yet: its choices are then all the same.
    """
    said, found = poses.get("encoder_orientations"), poses.get("orientations")
    if said is None or found is None:
        return None
    known = np.isfinite(said).all(1) & np.isfinite(found).all(1)
    if not known.any() or np.ptp(said[known], axis=0).max() == 0:
        return None
    left, right = (torch.from_numpy(q[known]).float() for q in (said, found))
    return angle_modulo_mate(left, right, point_group(symmetry)).numpy()
