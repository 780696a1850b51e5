"""The closed forms behind :mod:`xraisim.planning.plan`, each with its source."""

import math

import numpy as np
from jaxtyping import Float, Float64
from scipy.special import exp1

#: 1 − γ: nats that one photon tells about the orientation when intensities are exponential
NATS_PER_PHOTON = 1 - 0.5772156649015329
_FAINT = 500.0  # background over signal beyond which a series is as good and does not overflow
_CONFIDENCE = 0.95  # that every voxel of a shell is met


def shannon_voxels(s_inner: float, s_outer: float, diameter_angstrom: float) -> float:
    """Return the independent voxels of edge 1/D between two |s| (Å⁻¹), Friedel mates as one.

    A particle that fits into a box of edge D is given by F at the points of a lattice 1/D apart
    (Sayre 1952).
    """
    return 2 * math.pi / 3 * (s_outer**3 - s_inner**3) * diameter_angstrom**3


def curvature(s: float, wavelength_angstrom: float) -> float:
    """Return λs²/2 in Å⁻¹: how far the Ewald sphere lies from its tangent plane. Exact."""
    return wavelength_angstrom * s**2 / 2


def blind_fraction(s: float, wavelength_angstrom: float) -> float:
    """Return 1 − √(1 − (λs/2)²): the share of a shell that a full turn about one axis misses.

    The cusps around an axis perpendicular to the beam, known from the rotation method. s at an
    angle below θ (sin θ = λs/2, half the scattering angle) to the axis never meets the Ewald
    sphere.
    """
    return 1 - math.sqrt(max(0.0, 1 - (wavelength_angstrom * s / 2) ** 2))


def crowther_views(diameter_angstrom: float, s: float) -> int:
    """Return πD/d: equally spaced views about one axis (Crowther, DeRosier & Klug 1970)."""
    return math.ceil(math.pi * diameter_angstrom * s)


def dragonfly_orientations(level: int) -> int:
    """Return 10(5n³ + n): rotations of the 600-cell refined n times (Loh & Elser 2009)."""
    return 10 * (5 * level**3 + level)


def orientation_photons(orientations: int) -> float:
    """Return the fewest photons per pattern that can single out one orientation of so many.

    A pattern must tell log(orientations) nats (Elser 2009). With the intensities x of a shell
    exponentially distributed (Wilson 1949) a photon tells no more than ⟨x log x⟩ = 1 − γ of
    them; no background. A bound: success takes several times as many.
    """
    return math.log(max(orientations, 1)) / NATS_PER_PHOTON


def nats_per_photon(
    background_ratio: Float[np.ndarray, "*shape"] | float,
) -> Float64[np.ndarray, "..."]:
    """Return what a signal photon tells at most where background is r times the signal, nats.

    ⟨(x + r) log((x + r)/(1 + r))⟩ for exponential x is 1 + eʳE₁(r) − (1 + r) log(1 + 1/r): 1 − γ
    without background, 1/(2r) where it prevails. The mean over x of the Kullback–Leibler divergence
    of the counts from those at the mean intensity, so no count can tell more (Elser 2009).
    """
    r = np.asarray(background_ratio, np.float64)
    inner = np.clip(r, 1e-12, _FAINT)
    told = 1 + np.exp(inner) * exp1(inner) - (1 + inner) * np.log1p(1 / inner)
    mean = 1 + np.maximum(r, _FAINT)
    return np.where(r < _FAINT, told, 1 / (2 * mean) - 1 / (3 * mean**2) + 3 / (4 * mean**3))


def factor_for_unknown_orientations(nats: float, orientations: int) -> float:
    """Return how many times as many patterns it takes if none comes with its orientation.

    Of the ``nats`` that a pattern tells, log(orientations) are spent on finding its orientation and
    the rest tells about the intensity: the reciprocal of Elser's (2009) reduced information rate.
    Infinite where nothing is left: no single pattern can be oriented.
    """
    spent = math.log(max(orientations, 1))
    return nats / (nats - spent) if nats > spent else math.inf


def patterns_for_correlation(
    photons_per_voxel: float, background_per_voxel: float, correlation: float
) -> float:
    """Return the patterns until merged and true intensities of a shell correlate so well.

    With n signal and b background photons per voxel, exponential intensities (variance n²; Wilson
    1949, and for single particles Huldt, Szőke & Hajdu 2003) and Poisson noise (variance n + b),
    C = n / √(n² + n + b). For N patterns n = Nν and b = Nβ, so N = C²/(1 − C²) · (ν + β)/ν².
    Infinite for ν = 0.
    """
    if photons_per_voxel <= 0:
        return math.inf
    odds = correlation**2 / (1 - correlation**2)
    return odds * (photons_per_voxel + background_per_voxel) / photons_per_voxel**2


def patterns_for_coverage(voxels: float, met_per_pattern: float) -> float:
    """Return the patterns until, with 95 % probability, every voxel of a shell was met.

    Random slices meet a voxel as a Poisson process of rate h per pattern, so all V voxels are met
    with probability exp(−V e^(−Nh)). The counting is that of Poudyal, Schmidt & Schwander 2020.
    """
    if met_per_pattern <= 0:
        return math.inf
    return max(1.0, math.log(voxels / -math.log(_CONFIDENCE)) / met_per_pattern)
