"""Size and shape of a reconstruction: fitted sphere, radius of gyration, corners against faces."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.errors import SamplingError
from xraisim.core.fourier import coordinates, radius
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Volume

_FIT_REACH = 1.9  # of s·D: just beyond a sphere's first minimum at 1.43
_FIT_SPAN, _FIT_STEPS = 1.35, 271
_GOLDEN = (1 + math.sqrt(5)) / 2


def sphere_diameter_angstrom(
    s: Float[Tensor, "n"], intensity: Float[Tensor, "n"], expected_angstrom: float
) -> float:
    """Return the diameter in Å of the sphere that fits an intensity best about its centre.

    ``s`` in Å⁻¹, in any order. The amplitude 3 (sin x − x cos x)/x³, x = πDs (Rayleigh 1911), and
    its factor are fitted to √I within s < 1.9/``expected_angstrom`` by least squares, over
    diameters up to a factor of 1.35 away. Raises :class:`SamplingError` if the best is further.
    """
    near = (s > 0) & (s < _FIT_REACH / expected_angstrom)
    s, amplitude = s[near].double(), intensity[near].double().clamp_min(0).sqrt()
    log_span = math.log(_FIT_SPAN)
    diameters = expected_angstrom * torch.linspace(-log_span, log_span, _FIT_STEPS).double().exp()
    left = torch.stack([_misfit(s, amplitude, float(one)) for one in diameters])
    best = int(left.argmin())
    if best in (0, _FIT_STEPS - 1):
        raise SamplingError(
            f"no sphere of {diameters[0]:.0f} to {diameters[-1]:.0f} Å fits the intensity about "
            f"its centre best; give a better estimate than {expected_angstrom:.0f} Å"
        )
    return float(diameters[best])


def _misfit(s: Tensor, amplitude: Tensor, diameter: float) -> Tensor:
    """Return the sum of squares that a sphere leaves."""
    x = math.pi * diameter * s
    sphere = (3 * (torch.sin(x) - x * torch.cos(x)) / x**3).abs()
    factor = (sphere * amplitude).sum() / (sphere**2).sum()
    return ((amplitude - factor * sphere) ** 2).sum()


def volume_diameter_angstrom(
    intensity: Volume, expected_angstrom: float, s_min: float = 0.0
) -> float:
    """Return :func:`sphere_diameter_angstrom` of an intensity volume beyond ``s_min``, Å⁻¹."""
    s = radius(intensity.grid, intensity.spacing)
    kept = s > s_min
    return sphere_diameter_angstrom(s[kept], intensity.values[kept], expected_angstrom)


def centre_of_mass(density: Volume) -> Float[Tensor, "3"]:
    """Return the mean place of the positive density in Å, float64."""
    mass = density.values.double().clamp_min(0)
    points = coordinates(density.grid, density.spacing).double()
    return (mass[..., None] * points).sum((0, 1, 2)) / mass.sum()


def radius_of_gyration_angstrom(density: Volume, threshold: float = 0.1) -> float:
    """Return the rms distance from the centre of the density above ``threshold`` of its maximum."""
    values = density.values
    mass = torch.where(values > threshold * values.max(), values, 0.0)
    kept = Volume(values=mass, spacing=density.spacing, kind=density.kind)
    away = coordinates(density.grid, density.spacing).double() - centre_of_mass(kept)
    return math.sqrt(float((mass.double() * (away**2).sum(-1)).sum() / mass.double().sum()))


def corner_to_face(density: Volume, turn: Float[Tensor, "4"] | None = None) -> tuple[float, float]:
    """Return the mean distances in Å of an icosahedron's corners and faces from the centre.

    Measured to where the density falls to half of its mean about the centre. ``turn`` is the
    rotation A from the density's frame to that of the point group I: ρ(r) = ρ_I(A r). A ratio of
    1.258 is an icosahedron's, blurred by the resolution; 1 is a sphere's. Raises
    :class:`SamplingError` if the density does not fall so far within the grid.
    """
    corners, faces = _axes()
    return _mean_radius(density, corners, turn), _mean_radius(density, faces, turn)


def _axes() -> tuple[Tensor, Tensor]:
    """Return the unit vectors of the 12 fivefold and 20 threefold axes of the point group I."""
    signs = torch.tensor([(a, b) for a in (1.0, -1.0) for b in (1.0, -1.0)])
    zero = torch.zeros(4, 1)
    corner = torch.cat([zero, signs * torch.tensor([1.0, _GOLDEN])], 1)
    face = torch.cat([zero, signs * torch.tensor([_GOLDEN, 1 / _GOLDEN])], 1)
    cube = torch.cartesian_prod(*[torch.tensor([1.0, -1.0])] * 3)
    corners = torch.cat([corner.roll(k, 1) for k in range(3)])
    faces = torch.cat([cube, *(face.roll(k, 1) for k in range(3))])
    unit = torch.nn.functional.normalize
    return unit(corners, dim=1), unit(faces, dim=1)


def _mean_radius(density: Volume, axes: Tensor, turn: Tensor | None) -> float:
    if turn is not None:
        axes = axes @ rotations.to_matrix(turn)  # r = Aᵀ u, as row vectors u A
    reach = (density.grid // 2 - 1) * density.spacing
    r = torch.arange(0, 0.98 * reach, density.spacing / 8)
    centre = centre_of_mass(density).float()
    points = (centre + r[:, None, None] * axes).reshape(-1, 3)
    inside = points.norm(dim=1) < reach
    profile = torch.zeros(len(points))
    unturned = torch.eye(3)[None]
    profile[inside] = slice_volume(density.values, unturned, points[inside], density.spacing)[0]
    profile = profile.reshape(len(r), len(axes)).mean(1)
    level = profile[r < 0.25 * float(_half_width(profile, r))].mean() / 2
    below = torch.nonzero(profile < level)[:, 0]
    if not len(below) or below[0] == 0:
        raise SamplingError("the density does not fall to half of its value along these directions")
    i = int(below[0])
    fraction = (profile[i - 1] - level) / (profile[i - 1] - profile[i])
    return float(r[i - 1] + fraction * (r[i] - r[i - 1]))


def _half_width(profile: Tensor, r: Tensor) -> Tensor:
    """Return roughly where a profile ends: its last point above half of its maximum."""
    return r[torch.nonzero(profile > 0.5 * profile.max())[-1, 0]]
