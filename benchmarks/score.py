"""Score a reconstruction against the truth: one frame, then correlations shell by shell.

The truth is never interpolated where it is compared: once the rotation A of the reconstruction's
frame is known, V_rec(s) = V_true(A s), the atoms are turned by Aᵀ and F(s) is computed anew on the
reconstruction's own grid.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from benchmarks.leaderboard import FSC, ICC, PRTF
from benchmarks.record import Curve, PoseError
from benchmarks.slices import Slices, central_slices
from xraisim.core import rotations
from xraisim.core.align import Alignment, align_density, align_intensity
from xraisim.core.axes import group_in_frame
from xraisim.core.errors import FormatError
from xraisim.core.fourier import reciprocal, to_structure_factors
from xraisim.core.fsc import Resolution, first_crossing, fsc, intensity_correlation
from xraisim.core.merge import intensity_grid
from xraisim.core.radial import shell_s
from xraisim.core.settings import Positive, Range, Settings
from xraisim.core.symmetry import angle_modulo, angle_modulo_mate, point_group
from xraisim.core.types import Volume
from xraisim.sample.structure import Atoms
from xraisim.scattering.structure_factor import structure_factor_grid

_REFERENCE_OVERSAMPLING = 4.0  # samples per 1/D of the volume that is only aligned with
_SLICE_REACH = 0.55  # of the diameter: the particle and a margin


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(Settings, table="score"):
    """``symmetry``: the particle's point group, modulo which poses are compared.

    ``align_*_angstrom``: the band in which the frames are matched; ``slice_points``: per edge of
    the planes in the report; ``reach_angstrom``: for how many patterns it takes to get there.
    """

    symmetry: str = "C1"

    align_coarse_angstrom: Positive = 120.0
    align_fine_angstrom: Positive = 35.0
    slice_points: Annotated[int, Range(least=3, most=4001)] = 181
    reach_angstrom: Positive = 40.0

    def check(self) -> None:
        """Refuse a point group that there is not."""
        point_group(self.symmetry)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What was simulated. ``orientations`` [N, 4]; ``s_range`` of the measured pixels in Å⁻¹.

    ``photon_energy_ev`` is None where f′ and f″ were left out.
    """

    atoms: Atoms
    photon_energy_ev: float | None
    orientations: Float[Tensor, "N 4"]
    s_range: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a method found; ``encoder_orientations`` only where a method has an encoder."""

    intensity: Volume
    density: Volume
    prtf: Curve
    orientations: Float[Tensor, "N 4"]
    encoder_orientations: Float[Tensor, "N 4"] | None = None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How good it is, in the terms of the record."""

    resolutions: tuple[Resolution, ...]
    curves: tuple[Curve, ...]
    pose_error: PoseError
    encoder_pose_error: PoseError | None
    slices: Slices


def score(result: Result, truth: Truth, config: ScoreConfig, seed: int) -> Scores:
    """Align ``result`` with ``truth`` and compare intensities, densities and orientations."""
    volume = result.intensity
    found, F, icc = match_intensity(volume, truth, config, seed)
    true_intensity = F.abs() ** 2
    grid, spacing = result.density.grid, reciprocal(result.density.grid, result.density.spacing)
    if grid != volume.grid or not math.isclose(spacing, volume.spacing, rel_tol=1e-6):
        F = _structure_factors(truth, found, grid, spacing)
    phased = to_structure_factors(result.density.values, result.density.spacing)
    placed = align_density(phased, F, spacing, truth.s_range).structure_factors
    curves = (
        icc,
        curve_within("fsc_truth", shell_s(grid, spacing), fsc(placed, F), truth.s_range),
        result.prtf,
    )
    rules = ((ICC, 0.5), (FSC, 0.5), (PRTF, math.exp(-1)))
    group = _group(truth, config, seed)
    encoder = result.encoder_orientations
    return Scores(
        resolutions=tuple(resolution(c, *rule) for c, rule in zip(curves, rules, strict=True)),
        curves=curves,
        pose_error=pose_error(result.orientations, truth.orientations, found, group),
        encoder_pose_error=(
            None if encoder is None else pose_error(encoder, truth.orientations, found, group)
        ),
        slices=central_slices(
            (volume.values, true_intensity, volume.spacing),
            (placed, F, spacing),
            rotations.to_matrix(found.quaternion),
            min(truth.s_range[1], (volume.grid // 2) * volume.spacing),
            _SLICE_REACH * truth.atoms.diameter_angstrom,
            config.slice_points,
        ),
    )


def match_intensity(
    volume: Volume, truth: Truth, config: ScoreConfig, seed: int
) -> tuple[Alignment, Complex[Tensor, "G G G"], Curve]:
    """Return the frame of an intensity, the true F(A s) on its grid, and ``icc_truth``."""
    found = _align(volume, truth, config, seed)
    F = _structure_factors(truth, found, volume.grid, volume.spacing)
    icc = intensity_correlation(volume.values, F.abs() ** 2)
    s = shell_s(volume.grid, volume.spacing)
    return found, F, curve_within("icc_truth", s, icc, truth.s_range)


def _align(volume: Volume, truth: Truth, config: ScoreConfig, seed: int) -> Alignment:
    band = _band(truth, config, volume.spacing)
    return align_intensity(volume, _reference(truth, band), band, seed)


def _group(truth: Truth, config: ScoreConfig, seed: int) -> Float[Tensor, "n 4"]:
    """Return the rotations that leave the true particle as it is, in its own frame."""
    band = _band(truth, config, 0.0)
    return group_in_frame(_reference(truth, band), config.symmetry, band, seed)


def _band(truth: Truth, config: ScoreConfig, margin: float) -> tuple[float, float]:
    """Return the |s| (Å⁻¹) between which frames are matched, ``margin`` within the measured."""
    s_low, s_high = truth.s_range
    return (
        max(1 / config.align_coarse_angstrom, s_low + margin),
        min(1 / config.align_fine_angstrom, s_high - margin),
    )


def _reference(truth: Truth, band: tuple[float, float]) -> Volume:
    grid, spacing = intensity_grid(band[1], truth.atoms.diameter_angstrom, _REFERENCE_OVERSAMPLING)
    F = _grid(truth.atoms, truth, grid, spacing)
    return Volume(values=F.abs() ** 2, spacing=spacing, kind="intensity")


def _structure_factors(
    truth: Truth, found: Alignment, grid: int, spacing: float
) -> Complex[Tensor, "G G G"]:
    """Return the true F(A s) on a grid: the atoms turned by Aᵀ (row vectors times A)."""
    matrix = rotations.to_matrix(found.quaternion.double()).numpy()
    turned = dataclasses.replace(truth.atoms, positions=truth.atoms.positions @ matrix)
    return _grid(turned, truth, grid, spacing)


def _grid(atoms: Atoms, truth: Truth, grid: int, spacing: float) -> Complex[Tensor, "G G G"]:
    energy = truth.photon_energy_ev
    F = structure_factor_grid(atoms, grid, spacing, energy)
    return torch.from_numpy(F)


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


def pose_error(
    found: Float[Tensor, "N 4"],
    truth: Float[Tensor, "N 4"],
    alignment: Alignment,
    group: Float[Tensor, "m 4"],
) -> PoseError:
    """Return angles to the true orientations modulo ``group``, and the nearer of these and mates'.

    R_found = R_true·A, so R_found·Aᵀ is compared with R_true; the rotations of ``group`` leave the
    true particle as it is. Patterns without a pose (NaN), such as blanks, are left out. Raises
    :class:`FormatError` where no pattern has one.
    """
    posed = torch.isfinite(found).all(1)
    if not posed.any():
        raise FormatError("no pattern has an orientation; nothing can be compared with the truth")
    found, truth = alignment.to_reference_frame(found[posed]), truth[posed]
    strict = torch.rad2deg(angle_modulo(group, found, truth))
    nearer = angle_modulo_mate(found, truth, group)
    return PoseError(
        median_deg=_quantile(strict, 0.5),
        p90_deg=_quantile(strict, 0.9),
        median_modulo_mate_deg=_quantile(nearer, 0.5),
        p90_modulo_mate_deg=_quantile(nearer, 0.9),
    )


def _quantile(values: Tensor, q: float) -> float:
    return round(float(values.double().quantile(q)), 4)
