"""A reconstruction beside the truth, in one frame: what metrics are computed from.

The truth is never interpolated where it is compared: once the rotation A of the reconstruction's
frame is known, V_rec(s) = V_true(A s), the particle is turned by Aᵀ and F(s) is computed anew on
the reconstruction's own grid.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from benchmarks.record import Curve
from xraisim.core.align import Alignment, align_density, align_intensity
from xraisim.core.axes import group_in_frame
from xraisim.core.errors import FormatError
from xraisim.core.fourier import reciprocal, to_structure_factors
from xraisim.core.fsc import Resolution, first_crossing
from xraisim.core.merge import intensity_grid
from xraisim.core.rotations import to_matrix
from xraisim.core.settings import Positive, Range, Settings
from xraisim.core.symmetry import point_group
from xraisim.core.types import Volume
from xraisim.files.events import METRICS, read_events
from xraisim.files.poses import read_poses
from xraisim.files.result import POSES, Result, read_result
from xraisim.scattering.friedel import Scatterer, scattering_grid

_FIELDS = {"error_deg": "stated_error_deg"}  # what columns of poses are called here
_REFERENCE_OVERSAMPLING = 4.0  # samples per 1/D of the volume that is only aligned with

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(Settings, table="score"):
    """``symmetry``: the particle's point group, modulo which poses are compared.

    ``species``: the name of the one that is scored where there are several; the most abundant
    unless it is named (:mod:`benchmarks.truth`).

    ``align_*_angstrom``: the band in which the frames are matched; ``slice_points``: per edge of
    the planes in the report; ``reach_angstrom``: for how many patterns it takes to get there.
    """

    symmetry: str = "C1"
    species: str = ""

    align_coarse_angstrom: Positive = 120.0
    align_fine_angstrom: Positive = 35.0
    slice_points: Annotated[int, Range(least=3, most=4001)] = 181
    reach_angstrom: Positive = 40.0

    def check(self) -> None:
        """Refuse a point group that there is not."""
        point_group(self.symmetry)


@dataclass(frozen=True, kw_only=True)
class TrueParticle:
    """What a result is scored against; ``s_range`` of the measured pixels in Å⁻¹.

    ``photon_energy_ev`` is None where f′ and f″ were left out. ``orientations``: NaN for a pattern
    that is no single hit of the particle; no rows where a volume alone is compared.
    """

    particle: Scatterer
    photon_energy_ev: float | None
    orientations: Float[Tensor, "N 4"]
    s_range: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What a method found, and the density that it was phased to.

    ``orientations`` has NaN where there is none, and is None where a method told no poses;
    ``encoder_orientations`` only where it has an encoder; ``stated_error_deg``: ``error_deg`` of
    :mod:`xraisim.files.poses`, where it states one. ``result``: what the method says of itself;
    ``events``: of its log, in order.
    """

    intensity: Volume
    density: Volume
    prtf: Curve
    orientations: Float[Tensor, "N 4"] | None = None
    encoder_orientations: Float[Tensor, "N 4"] | None = None
    stated_error_deg: Float[Tensor, "N"] | None = None
    result: Result | None = None
    events: tuple[dict[str, Any], ...] = field(default=(), repr=False)


def read_reconstruction(
    directory: Path, intensity: Volume, density: Volume, prtf: Curve, patterns: int
) -> Reconstruction:
    """Return the result in a directory, with the density of its phasing.

    ``patterns``: how many there are. An encoder that says no pattern's orientation is none.
    """
    return Reconstruction(
        intensity=intensity,
        density=density,
        prtf=prtf,
        result=read_result(directory),
        events=read_events(directory / METRICS),
        **told_poses(directory / POSES, patterns),
    )


def told_poses(path: Path, patterns: int) -> dict[str, Float[Tensor, "N *width"]]:
    """Return what a file of poses tells of any pattern, as fields of a reconstruction.

    Nothing without a file. Raises :class:`FormatError` where the number of orientations is not that
    of the ``patterns``.
    """
    poses = read_poses(path)
    if poses and "orientations" not in poses:
        raise FormatError(f"{path} has {', '.join(poses)}; expected orientations")
    names = [name for name in ("orientations", "encoder_orientations") if name in poses]
    for name in names:
        if len(poses[name]) != patterns:
            raise FormatError(
                f"{path} has {name} of {len(poses[name]):,} patterns and the task has "
                f"{patterns:,}; expected a row for each pattern, in the order of the pattern file, "
                "NaN where there is no pose"
            )
    told = [name for name in (*names, "error_deg") if np.isfinite(poses.get(name, np.nan)).any()]
    return {_FIELDS.get(name, name): torch.from_numpy(poses[name]).float() for name in told}


class Comparison:
    """A reconstruction and the truth; whatever several metrics need is computed once."""

    def __init__(
        self, found: Reconstruction, truth: TrueParticle, config: ScoreConfig, seed: int = 0
    ) -> None:
        """Compare ``found`` with ``truth``; ``seed``: of the search for the frame."""
        self.found, self.truth, self.config, self.seed = found, truth, config, seed
        self._known: dict[Callable[..., Any], Any] = {}

    @cached_property
    def alignment(self) -> Alignment:
        """The rotation A of the reconstruction's frame."""
        return align(self.found.intensity, self.truth, self.config, self.seed)

    @cached_property
    def true_factors(self) -> Complex[Tensor, "G G G"]:
        """The true F(A s) on the grid of the intensity."""
        volume = self.found.intensity
        return structure_factors(self.truth, self.alignment, volume.grid, volume.spacing)

    @cached_property
    def density_factors(self) -> tuple[Complex[Tensor, "H H H"], Complex[Tensor, "H H H"], float]:
        """F of the density, placed upon the truth; the true F on its grid; its spacing in Å⁻¹."""
        volume, density = self.found.intensity, self.found.density
        grid, spacing, F = density.grid, reciprocal(density.grid, density.spacing), None
        if grid == volume.grid and math.isclose(spacing, volume.spacing, rel_tol=1e-6):
            F = self.true_factors
        if F is None:
            F = structure_factors(self.truth, self.alignment, grid, spacing)
        phased = to_structure_factors(density.values, density.spacing)
        placed = align_density(phased, F, spacing, self.truth.s_range).structure_factors
        return placed, F, spacing

    def posed(self, poses: Float[Tensor, "N 4"]) -> Bool[Tensor, "N"]:
        """Return which patterns have both one of these ``poses`` and a true one to compare with."""
        return torch.isfinite(poses).all(1) & torch.isfinite(self.truth.orientations).all(1)

    @cached_property
    def group(self) -> Float[Tensor, "n 4"]:
        """The rotations that leave the true particle as it is, in its own frame."""
        band = _band(self.truth, self.config, 0.0)
        return group_in_frame(_reference(self.truth, band), self.config.symmetry, band, self.seed)

    def once(self, function: Callable[["Comparison"], T]) -> T:
        """Return ``function(self)``, computed when it is asked for first."""
        if function not in self._known:
            self._known[function] = function(self)
        return self._known[function]


def align(volume: Volume, truth: TrueParticle, config: ScoreConfig, seed: int) -> Alignment:
    """Return the rotation between an intensity and the true one."""
    band = _band(truth, config, volume.spacing)
    return align_intensity(volume, _reference(truth, band), band, seed)


def structure_factors(
    truth: TrueParticle, found: Alignment, grid: int, spacing: float
) -> Complex[Tensor, "G G G"]:
    """Return the true F(A s) on a grid, from the particle turned by Aᵀ."""
    turned = truth.particle.turned(to_matrix(found.quaternion.double()).numpy())
    return torch.from_numpy(scattering_grid(turned, grid, spacing, truth.photon_energy_ev))


def _band(truth: TrueParticle, config: ScoreConfig, margin: float) -> tuple[float, float]:
    """Return the |s| (Å⁻¹) between which frames are matched, ``margin`` within the measured."""
    s_low, s_high = truth.s_range
    return (
        max(1 / config.align_coarse_angstrom, s_low + margin),
        min(1 / config.align_fine_angstrom, s_high - margin),
    )


def _reference(truth: TrueParticle, band: tuple[float, float]) -> Volume:
    particle = truth.particle
    grid, spacing = intensity_grid(band[1], particle.diameter_angstrom, _REFERENCE_OVERSAMPLING)
    F = torch.from_numpy(scattering_grid(particle, grid, spacing, truth.photon_energy_ev))
    return Volume(values=F.abs() ** 2, spacing=spacing, kind="intensity")


def curve_within(name: str, s: Tensor, values: Tensor, s_range: tuple[float, float]) -> Curve:
    """Return the shells [shells] that lie within ``s_range`` with half a shell to spare."""
    half = float(s[1] - s[0]) / 2
    keep = (s >= s_range[0] + half) & (s <= s_range[1] - half) & torch.isfinite(values)
    return Curve(
        name=name,
        s_per_angstrom=tuple(round(value, 7) for value in s[keep].tolist()),
        value=tuple(round(value, 5) for value in values[keep].tolist()),
    )


def resolution(curve: Curve, rule: str, threshold: float) -> Resolution:
    """Return the first crossing of a curve, named by its rule."""
    values = torch.tensor(curve.value, dtype=torch.float64)
    return first_crossing(
        values, torch.tensor(curve.s_per_angstrom, dtype=torch.float64), threshold, rule
    )
