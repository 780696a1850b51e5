"""Pictures of the poses: distributions over patterns, view directions, distances."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from xraisim.core import rotations
from xraisim.core.symmetry import angle_modulo_mate, point_group
from xraisim.figure_axes import COLOURS

_TAILS = (0.002, 0.998)  # quantiles that a histogram shows
_MOST_ABREAST = 4
_PATTERNS_PER_CELL = 16
_ROWS = (4, 60)
_MOST_POSES = 20_000


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """View directions over cells of equal area, float64 [rows, columns] relative to uniform.

    Rows run from −z to +z in equal steps of the cosine, columns in azimuth from −x over −y, +x and
    +y. ``expected``: patterns per cell if all directions were equally frequent.
    """

    density: np.ndarray
    expected: float

    @property
    def spread(self) -> float:
        """Standard deviation of the density."""
        return float(self.density.std())

    @property
    def noise(self) -> float:
        """What chance alone makes of that for uniform directions, 1/√expected."""
        return float(1 / np.sqrt(self.expected))


def distributions(columns: Mapping[str, np.ndarray]) -> Figure:
    """Return a histogram of every column, labelled by its name, with the median marked."""
    wide = len(columns) if len(columns) <= _MOST_ABREAST else -(-len(columns) // 2)
    rows = -(-len(columns) // wide)
    figure = Figure(figsize=(12, 2.8 * rows), layout="constrained")
    grid = figure.subplots(rows, wide, squeeze=False)
    for axes in list(grid.flat)[len(columns) :]:
        axes.set_axis_off()
    for axes, (name, values) in zip(grid.flat, columns.items(), strict=False):
        known = values[np.isfinite(values)].astype(float)
        if len(known):
            low, high = np.quantile(known, _TAILS)
            axes.hist(np.clip(known, low, high), bins=50, color="0.6")
            axes.axvline(np.median(known), color=COLOURS[1], lw=1.5)
            axes.set_title(f"median {np.median(known):.4g}", fontsize=9, loc="right")
        axes.set(xlabel=name, ylabel="patterns")
    return figure


def coverage(orientations: np.ndarray) -> Coverage:
    """Return how often each direction of the particle looks along the beam, Rᵀz, [N, 4] → cells."""
    matrix = rotations.to_matrix(torch.from_numpy(orientations.astype(np.float64)))
    x, y, z = matrix[:, 2].T.numpy()
    rows = int(np.clip(np.sqrt(len(z) / (2 * _PATTERNS_PER_CELL)), *_ROWS))
    counts, _, _ = np.histogram2d(
        z, np.arctan2(y, x), bins=(rows, 2 * rows), range=((-1, 1), (-np.pi, np.pi))
    )
    expected = len(z) / counts.size
    return Coverage(density=counts / expected, expected=expected)


def coverage_map(found: Coverage) -> Figure:
    """Return the coverage as a Mollweide map, equal in area, +x in the middle and +z above."""
    rows, columns = found.density.shape
    figure = Figure(figsize=(7, 3.3), layout="constrained")
    axes = figure.add_subplot(projection="mollweide")
    mesh = axes.pcolormesh(
        np.linspace(-np.pi, np.pi, columns + 1),
        np.arcsin(np.linspace(-1, 1, rows + 1)),
        found.density,
        cmap="viridis",
        vmin=0,
        vmax=max(2.0, float(np.quantile(found.density, 0.995))),
        rasterized=True,
    )
    axes.grid(color="1.0", lw=0.4, alpha=0.4)
    axes.set(xticklabels=[])
    axes.tick_params(labelsize=8)
    figure.colorbar(mesh, ax=axes, label="patterns, relative to uniform", shrink=0.8)
    return figure


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


def encoder_angles(poses: Mapping[str, np.ndarray], symmetry: str = "C1") -> np.ndarray | None:
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
