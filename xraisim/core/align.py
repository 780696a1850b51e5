"""Bring two reconstructions into one frame: rotation of intensities, hand and shift of densities.

A reconstruction is known only up to a global rotation A and, once phased, up to inversion and
translation. :func:`align_intensity` finds A with

    V_volume(s) = V_reference(A s).

As pattern(s) = V(Rᵀ s), orientations found with the volume then obey R_volume = R_reference · A.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from xraisim.core import rotations, so3
from xraisim.core.errors import SamplingError
from xraisim.core.fourier import coordinates, radius, to_density
from xraisim.core.radial import mean_by_shell, shell_means, shell_numbers
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Volume

_COARSE_POINTS, _FINE_POINTS = 3000, 16_000
_COARSE_ROTATIONS = 60_000
_BATCH = 500
_CANDIDATES = 24
_NEIGHBOURS = 32
_FINEST_RAD = math.radians(0.02)
_NEWTON_STEPS = 6


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """``quaternion``: A in V_volume(s) = V_reference(A s), float32 [4]. ``score``: correlation.

    The score is the Pearson correlation of the amplitudes √I over the band with radial means
    removed, at most one.
    """

    quaternion: Float[Tensor, "4"]
    score: float

    def to_reference_frame(self, orientations: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        """Return orientations found with the volume as orientations of the reference: R · Aᵀ."""
        return rotations.multiply(orientations, rotations.conjugate(self.quaternion)[None])


def align_intensity(
    volume: Volume, reference: Volume, s_band: tuple[float, float], seed: int = 0
) -> Alignment:
    """Find the rotation A with volume(s) ≈ reference(A s), to about 0.1°.

    ``s_band`` (Å⁻¹): where both are trustworthy, such as 1/100 … 1/30. A near-uniform grid is
    searched in the band's inner part, whose speckles it can resolve; the best candidates are then
    refined over the whole band by shrinking random perturbations. Raises
    :class:`SamplingError` if the band is empty or leaves a volume.
    """
    draw = generator(seed, "align")
    # Sampling is at least twice the diameter, 1/(2 D) ≥ spacing, and a speckle of width 1/D at
    # radius s is met by rotations 1/(2 D s) apart.
    half_speckle = max(volume.spacing, reference.spacing)
    s_coarse = min(s_band[1], max(half_speckle / so3.spacing(_COARSE_ROTATIONS), 1.3 * s_band[0]))
    reference = amplitude_deviation(reference)
    coarse = AmplitudeScore(volume, reference, (s_band[0], s_coarse), _COARSE_POINTS, draw)
    step = max(half_speckle / s_coarse, so3.spacing(_COARSE_ROTATIONS))
    start = rotations.multiply(so3.haar(1, draw), so3.super_fibonacci(so3.grid_size(step)))
    found = start[coarse(start).topk(_CANDIDATES).indices]
    fine = AmplitudeScore(volume, reference, s_band, _FINE_POINTS, draw)
    for score in (coarse, fine):
        found, value = climb(score, found, step, draw)
        step = half_speckle / s_coarse / 2
    best = int(value.argmax())
    # Slices are V(Rᵀ s), so the rotation searched for is the transpose of A.
    quaternion = rotations.normalize(rotations.conjugate(found[best]))
    return Alignment(quaternion=quaternion, score=float(value[best]))


def climb(
    score: Callable[[Tensor], Tensor], found: Tensor, step: float, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Climb a score of rotations [n, 4] from each candidate, dropping the worst on the way.

    By random neighbours in steps that shrink from ``step`` radians to 0.02°.
    """
    while step > _FINEST_RAD:
        near = so3.perturb(found, _NEIGHBOURS, step / 2, draw)
        near = torch.cat([found[:, None], near], dim=1)
        value, which = score(near.reshape(-1, 4)).reshape(near.shape[:2]).max(dim=1)
        found = near[torch.arange(len(found)), which]
        keep = value.topk(max(2, len(found) * 3 // 4)).indices if len(found) > 2 else slice(None)
        found, value = found[keep], value[keep]
        step *= 0.6
    return found, value


def amplitude_deviation(intensity: Volume) -> Volume:
    """Return √I with the mean of each shell removed."""
    amplitude = intensity.values.clamp_min(0).sqrt()
    mean = shell_means(amplitude)
    number = shell_numbers(intensity.grid).clamp_max(len(mean) - 1)
    values = amplitude - mean[number].float()
    return Volume(values=values, spacing=intensity.spacing, kind=intensity.kind)


class AmplitudeScore:
    """Correlation of amplitudes at a few thousand voxels of the volume, for many rotations.

    ``reference`` holds amplitudes with their radial mean removed.
    """

    def __init__(
        self,
        volume: Volume,
        reference: Volume,
        s_band: tuple[float, float],
        points: int,
        draw: torch.Generator,
    ) -> None:
        near = min(s_band[1], volume.spacing * (volume.grid // 2 - 1))
        r = radius(volume.grid, volume.spacing)
        where = torch.nonzero(((r >= s_band[0]) & (r <= near)).reshape(-1))[:, 0]
        where = where[where > volume.grid**3 // 2]  # the other half is its Friedel mate
        if len(where) < 10:
            raise SamplingError(
                f"the band {s_band[0]:.4g} … {s_band[1]:.4g} Å⁻¹ holds {len(where)} voxels of a "
                f"{volume.grid}³ volume with spacing {volume.spacing:.3g} Å⁻¹; use a wider band"
            )
        where = where[torch.randperm(len(where), generator=draw)[:points]]
        self._s = coordinates(volume.grid, volume.spacing).reshape(-1, 3)[where]
        shell = shell_numbers(volume.grid).reshape(-1)[where]
        shell = torch.unique(shell, return_inverse=True)[1]
        amplitude = volume.values.reshape(-1)[where].clamp_min(0).sqrt()
        deviation = amplitude - mean_by_shell(shell, amplitude)[shell]
        self._values = torch.nn.functional.normalize(deviation, dim=0)
        self._reference = reference

    def __call__(self, quaternion: Tensor) -> Tensor:
        """Return the correlation with reference(Rᵀ s) for each rotation."""
        scores = []
        for batch in quaternion.split(_BATCH):
            matrix = rotations.to_matrix(batch)
            cut = slice_volume(self._reference.values, matrix, self._s, self._reference.spacing)
            # The values have no mean in any shell, so what mean the cut has left adds nothing.
            scores.append(cut @ self._values / cut.norm(dim=1))
        return torch.cat(scores)


def rotate_volume(
    volume: Volume, quaternion: Float[Tensor, "4"], grid: int, spacing: float
) -> Volume:
    """Return volume(A s) on a cube of ``grid`` voxels with ``spacing``; A from ``quaternion``.

    The result is filled within the ball that touches its faces and is zero outside. Raises
    :class:`SamplingError` if that ball is larger than the volume.
    """
    points = coordinates(grid, spacing).reshape(-1, 3)
    inside = points.norm(dim=1) < (grid // 2) * spacing * (1 - 1e-6)
    matrix = rotations.to_matrix(rotations.conjugate(quaternion))[None]
    values = torch.zeros(grid**3)
    values[inside] = slice_volume(volume.values, matrix, points[inside], volume.spacing)[0]
    return Volume(values=values.reshape(grid, grid, grid), spacing=spacing, kind=volume.kind)


@dataclass(frozen=True, kw_only=True)
class DensityAlignment:
    """A density brought onto its reference: first inverted if ``inverted``, then moved.

    ``structure_factors``: the aligned F, complex64 [G, G, G]. ``shift_angstrom``: [3] float32, with
    aligned ρ(r) = ρ(r − shift). ``score``: whitened correlation, the mean phase agreement.
    """

    structure_factors: Complex[Tensor, "G G G"]
    inverted: bool
    shift_angstrom: Float[Tensor, "3"]
    score: float


def align_density(
    structure_factors: Complex[Tensor, "G G G"],
    reference: Complex[Tensor, "G G G"],
    spacing: float,
    s_range: tuple[float, float] = (0.0, math.inf),
) -> DensityAlignment:
    """Find the hand and the shift that bring F onto ``reference`` (same grid and orientation).

    Both hands are tried (inversion of a real density conjugates F). Each shell within ``s_range``
    (Å⁻¹) counts by its number of voxels rather than its power; the peak of the cross-correlation
    gives the shift in whole voxels and Newton steps on the phase ramp the rest.
    """
    r = radius(reference.shape[0], spacing).to(reference.device)
    mask = (r >= s_range[0]) & (r <= min(s_range[1], spacing * (len(r) // 2)))
    target = _whiten(reference, mask)
    source = _whiten(structure_factors, mask)
    tried = []
    for inverted in (False, True):
        product = (source.conj() if inverted else source) * target.conj()
        shift, score = _best_shift(product, spacing)
        tried.append((score, inverted, shift))
    score, inverted, shift = max(tried, key=lambda trial: trial[0])
    chosen = structure_factors.conj() if inverted else structure_factors
    return DensityAlignment(
        structure_factors=shift_structure_factors(chosen, shift, spacing),
        inverted=inverted,
        shift_angstrom=shift,
        score=score,
    )


def shift_structure_factors(
    structure_factors: Complex[Tensor, "G G G"], shift_angstrom: Float[Tensor, "3"], spacing: float
) -> Complex[Tensor, "G G G"]:
    """Return F(s) exp(2πi s·t): the density moved by t, ρ(r − t)."""
    return structure_factors * _phase_ramp(structure_factors.shape[0], shift_angstrom, spacing)


def _phase_ramp(grid: int, shift: Tensor, spacing: float) -> Tensor:
    axis = (torch.arange(grid, device=shift.device) - grid // 2) * spacing
    x, y, z = (torch.exp(2j * math.pi * axis * component) for component in shift)
    return x[:, None, None] * y[:, None] * z


def _whiten(values: Tensor, mask: Bool[Tensor, "G G G"]) -> Tensor:
    """Divide by the rms amplitude of each shell, and zero outside the mask."""
    power = shell_means(values.abs() ** 2, mask).nan_to_num(0.0)
    rms = torch.sqrt(power).clamp_min(1e-30).float()
    number = shell_numbers(values.shape[0], values.device).clamp_max(len(rms) - 1)
    return torch.where(mask & (power[number] > 0), values / rms[number], 0)


def _best_shift(product: Tensor, spacing: float) -> tuple[Tensor, float]:
    """Return the shift t in Å that maximises Re Σ product·exp(2πi s·t), and the mean reached."""
    grid = product.shape[0]
    voxel = 1 / (grid * spacing)
    # to_density sums with exp(−2πi s·r), so the peak lies at r = −t.
    peak = int(to_density(product, spacing).argmax())
    index = [peak // grid**2, peak // grid % grid, peak % grid]
    shift = -(torch.tensor(index, device=product.device) - grid // 2) * voxel
    s = coordinates(grid, spacing).to(product.device)
    for _ in range(_NEWTON_STEPS):
        turned = product * _phase_ramp(grid, shift, spacing)
        gradient = -2 * math.pi * torch.einsum("xyz,xyzk->k", turned.imag, s)
        weighted = turned.real[..., None] * s
        hessian = -((2 * math.pi) ** 2) * torch.einsum("xyzj,xyzk->jk", weighted, s)
        # Float32 is enough: the step is a fraction of a voxel.
        step = torch.linalg.solve(hessian, gradient)
        shift = shift - step.clamp(-0.5 * voxel, 0.5 * voxel)
    total = (product * _phase_ramp(grid, shift, spacing)).real.sum()
    return shift, float(total / (product != 0).sum().clamp_min(1))
