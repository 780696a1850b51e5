"""The resolution shells of a plan: photons, geometry and patterns needed in each."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64

from xraisim.core import so3
from xraisim.core.radial import shells_between, sum_by_shell
from xraisim.planning import formulas

_MOST_SHELLS = 16


@dataclass(frozen=True, kw_only=True)
class Shell:
    """One resolution shell; photons are means over orientations, at relative fluence 1.

    ``coverage``: share of the Ewald sphere in the shell that usable pixels see. ``voxels``:
    independent voxels of edge 1/D, Friedel mates counted once. ``photons_per_voxel``,
    ``background_per_voxel``: per pattern. ``curvature_voxels``: how far the Ewald sphere lies from
    its tangent plane, in 1/D. ``blind_fraction``: what a rotation about one axis never reaches.
    ``orientations``: rotations 1/D apart at the outer edge; ``orientation_nats``: what a pattern
    tells of its own at most, by the photons between 1/D and there;
    ``unknown_orientations_factor``: how many times as many patterns it takes if none comes with its
    orientation, found from this shell or out to a finer one, infinite if none can be found.
    ``patterns_for_photons``: until the correlation with the truth is the plan's ``correlation``
    (infinite where no photon arrives); ``patterns_for_coverage``: until every voxel was met.
    """

    s_min_per_angstrom: float
    s_max_per_angstrom: float
    pixels: int
    coverage: float
    photons_per_pixel: float
    background_per_pixel: float
    photons_per_pattern: float
    voxels: float
    photons_per_voxel: float
    background_per_voxel: float
    curvature_voxels: float
    blind_fraction: float
    orientations: int
    orientation_nats: float
    unknown_orientations_factor: float
    patterns_for_photons: float
    patterns_for_coverage: float

    @property
    def resolution_angstrom(self) -> float:
        """d = 1/s at the shell's outer edge, Å."""
        return 1 / self.s_max_per_angstrom

    @property
    def patterns(self) -> float:
        """Patterns needed for both photons and coverage."""
        return max(self.patterns_for_photons, self.patterns_for_coverage)


def shell_edges(
    s_min: float, s_max: float, diameter_angstrom: float
) -> Float64[np.ndarray, "edges"]:
    """Return the edges (Å⁻¹) of equally wide shells: 16, or fewer where 1/D is wider."""
    number = max(1, min(_MOST_SHELLS, int((s_max - s_min) * diameter_angstrom)))
    return np.linspace(s_min, s_max, number + 1)


def shells(
    radius: Float[np.ndarray, "P"],
    values: Float[np.ndarray, "4 P"],
    diameter: float,
    wavelength: float,
    correlation: float,
) -> tuple[Shell, ...]:
    """Return the shells, going outwards, of usable pixels at |s| = ``radius``, Å⁻¹.

    ``values``: expected photons, background photons, area on the Ewald sphere in Å⁻², and
    what the pixel tells of the orientation in nats.
    """
    edges = shell_edges(float(radius.min()), float(radius.max()), diameter)
    bins = len(edges) - 1
    s, bounds, *rows = (torch.tensor(one).double() for one in (radius, edges, *values))
    member = shells_between(s, bounds)
    pixels = member.bincount(minlength=bins)
    sums = torch.stack([sum_by_shell(member, row, bins) for row in rows], 1).numpy()
    sums[:, 3] = np.cumsum(sums[:, 3])
    alone = [
        _shell(edges[i : i + 2], int(pixels[i]), sums[i], diameter, wavelength, correlation)
        for i in range(bins)
    ]
    factors = [shell.unknown_orientations_factor for shell in alone]
    best = np.minimum.accumulate(factors[::-1])[::-1]  # oriented finely is oriented coarsely
    return tuple(
        dataclasses.replace(shell, unknown_orientations_factor=float(factor))
        for shell, factor in zip(alone, best, strict=True)
    )


def _shell(
    edges: Float64[np.ndarray, "2"],
    pixels: int,
    sums: Float64[np.ndarray, "4"],
    diameter: float,
    wavelength: float,
    correlation: float,
) -> Shell:
    """Return a shell from what its pixels add up to, ``sums``; the nats are those so far."""
    inner, outer = (float(edge) for edge in edges)
    photons, background, area, nats = (float(value) for value in sums)
    middle = (inner + outer) / 2
    orientations = so3.grid_size(1 / max(outer * diameter, 1.0))
    voxels = formulas.shannon_voxels(inner, outer, diameter)
    met = area * diameter**2 / (2 * voxels)  # both mates of a nearly flat slice meet one voxel
    return Shell(
        s_min_per_angstrom=inner,
        s_max_per_angstrom=outer,
        pixels=pixels,
        coverage=area / (math.pi * (outer**2 - inner**2)),
        photons_per_pixel=photons / max(pixels, 1),
        background_per_pixel=background / max(pixels, 1),
        photons_per_pattern=photons,
        voxels=voxels,
        photons_per_voxel=photons / voxels,
        background_per_voxel=background / voxels,
        curvature_voxels=formulas.curvature(middle, wavelength) * diameter,
        blind_fraction=formulas.blind_fraction(middle, wavelength),
        orientations=orientations,
        orientation_nats=nats,
        unknown_orientations_factor=formulas.factor_for_unknown_orientations(nats, orientations),
        patterns_for_photons=formulas.patterns_for_correlation(
            photons / voxels, background / voxels, correlation
        ),
        patterns_for_coverage=formulas.patterns_for_coverage(voxels, met),
    )
