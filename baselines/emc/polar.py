"""The polar grid of a resolution: rings of equal |s|, azimuths about the beam, harmonics.

A turn about the beam maps the Ewald sphere onto itself. With an orientation written R = Rz(α)·Q, Q
turning a view direction of the particle onto the beam, the slice V(Rᵀs) at azimuth ϕ is the slice
of Q at azimuth ϕ − α, so that whatever sums over a ring is a correlation in α, and a product in
angular harmonics m.

Harmonics are kept up to the band limit of each ring: the speckles of a particle of diameter D are
1/D apart, and |F|² around a ring of radius s has m up to about 2πsD. They are packed into one row:
for each m the real parts of all rings that reach it, then the imaginary parts. One more ring, the
*exposure ring*, has every m and carries fluence against expected photons, so that the whole Poisson
log-likelihood is one product of rows (:mod:`baselines.emc.correlate`).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from xraisim.core.errors import SamplingError
from xraisim.core.types import Pixels

_MARGIN = 8  # harmonics beyond the band limit, which matters on the innermost rings
_TAPS = 4
_SAFE_RINGS = 4.0  # per speckle
_STEP = 32  # of the number of points on a ring: transforms of its multiples are fast
_FLATNESS = 0.02  # how far a pixel may be off the Ewald sphere, relative to |s|


@dataclass(frozen=True, kw_only=True)
class Band:
    """Rings with ``azimuths`` points each, and where their points lie."""

    rings: slice
    azimuths: int
    points: slice

    @property
    def count(self) -> int:
        """How many rings."""
        return self.rings.stop - self.rings.start


@dataclass(frozen=True, kw_only=True)
class PolarGrid:
    """Rings and harmonics for pixels on an Ewald sphere.

    ``radius`` [Q]: |s| of the rings (Å⁻¹), evenly spaced; ``height`` [Q]: s along the beam;
    ``limits`` [Q]: highest harmonic kept on each ring, ascending; ``angles``: in-plane angles that
    are searched, an even number; ``inner`` [P]: the innermost of the four rings that each pixel is
    interpolated from, by cubic polynomials with weights ``weight`` [P, 4]; ``azimuth`` [P] in
    radians.
    """

    radius: Float[Tensor, "Q"]
    height: Float[Tensor, "Q"]
    limits: Int[Tensor, "Q"]
    angles: int
    inner: Int[Tensor, "P"]
    weight: Float[Tensor, "P 4"]
    azimuth: Float[Tensor, "P"]

    @classmethod
    def of(
        cls,
        pixels: Pixels,
        diameter_angstrom: float,
        *,
        angles: int,
        rings_per_speckle: float,
        band: float,
    ) -> "PolarGrid":
        """Lay rings ``rings_per_speckle`` to 1/D; ``band`` scales the limit 2πsD.

        More than 4 only as far as pixels fill them: the cubic weights have both signs, and a ring
        that few pixels reach could otherwise be left with hardly any exposure to divide by.

        Raises :class:`SamplingError` for pixels that are not on one Ewald sphere.
        """
        s = pixels.s.double().cpu()
        near, far = float(pixels.radius[0]), float(pixels.radius[-1])
        spacing = math.sqrt(math.pi * (far**2 - near**2) / len(pixels))
        filled = max(_SAFE_RINGS, 1 / (diameter_angstrom * max(spacing, 1e-30)))
        rings = (far - near) * diameter_angstrom * min(rings_per_speckle, filled)
        count = max(_TAPS, math.ceil(rings) + 1)
        radius = torch.linspace(near, far, count, dtype=torch.float64)
        curvature = _curvature(s)
        place = (s.norm(dim=1) - near) * ((count - 1) / max(far - near, 1e-30))
        inner = (place.floor() - 1).clamp(0, count - _TAPS)
        limits = (2 * math.pi * band * diameter_angstrom * radius + _MARGIN).floor().long()
        return cls(
            radius=radius.float(),
            height=(curvature * radius**2).float(),
            limits=limits,
            angles=angles,
            inner=inner.int(),
            weight=_cubic(place - inner).float(),
            azimuth=torch.atan2(s[:, 1], s[:, 0]).float(),
        )

    @property
    def rings(self) -> int:
        """Rings, without the exposure ring."""
        return len(self.radius)

    def rings_within(self, s_max: float) -> int:
        """Return how many rings have |s| up to ``s_max`` (Å⁻¹)."""
        return int((self.radius <= s_max * (1 + 1e-6)).sum())

    @property
    def highest(self) -> int:
        """Highest harmonic."""
        return int(self.limits[-1])

    @cached_property
    def orders(self) -> list[int]:
        """The harmonics as they are packed: even ones first, for they turn with period π."""
        return [*range(0, self.highest + 1, 2), *range(1, self.highest + 1, 2)]

    @cached_property
    def first_ring(self) -> list[int]:
        """The innermost ring that has each of :attr:`orders`."""
        return torch.searchsorted(self.limits, torch.tensor(self.orders)).tolist()

    @cached_property
    def columns(self) -> list[tuple[int, int]]:
        """Where each of :attr:`orders` begins in a row, and its rings, exposure included."""
        lengths = [self.rings + 1 - first for first in self.first_ring]
        starts = np.cumsum([0, *(2 * length for length in lengths)])
        return list(zip(starts[:-1].tolist(), lengths, strict=True))

    @property
    def width(self) -> int:
        """Floats in a packed row."""
        start, length = self.columns[-1]
        return start + 2 * length

    @cached_property
    def fluence_columns(self) -> Int[Tensor, "M"]:
        """Where the real part of the exposure ring lies, for each of :attr:`orders`."""
        return torch.tensor([start + length - 1 for start, length in self.columns])

    @cached_property
    def bands(self) -> list["Band"]:
        """Runs of rings that have the same number of points, as inner rings need fewer."""
        azimuths = (_STEP * torch.ceil((2 * self.limits + 2) / _STEP)).int()
        counts, lengths = azimuths.unique_consecutive(return_counts=True)
        bands, ring, point = [], 0, 0
        for count, length in zip(counts.tolist(), lengths.tolist(), strict=True):
            rings, points = slice(ring, ring + length), slice(point, point + length * count)
            bands.append(Band(rings=rings, azimuths=count, points=points))
            ring, point = rings.stop, points.stop
        return bands

    @cached_property
    def ring_of_point(self) -> Int[Tensor, "N"]:
        """The ring of each point."""
        counts = [band.azimuths for band in self.bands for _ in range(band.count)]
        return torch.arange(self.rings).repeat_interleave(torch.tensor(counts))

    @cached_property
    def points(self) -> Float[Tensor, "N 3"]:
        """Every point of the grid, ring after ring, in Å⁻¹."""
        flat = (self.radius.double() ** 2 - self.height.double() ** 2).clamp_min(0).sqrt()
        turns = [torch.arange(b.azimuths).repeat(b.count) / b.azimuths for b in self.bands]
        phi = 2 * math.pi * torch.cat(turns).double()
        ring = self.ring_of_point
        x, y = flat[ring] * phi.cos(), flat[ring] * phi.sin()
        return torch.stack([x, y, self.height.double()[ring]], -1).float()

    def points_within(self, s_max: float) -> int:
        """Return how many points have |s| up to ``s_max`` (Å⁻¹)."""
        return int((self.ring_of_point < self.rings_within(s_max)).sum())

    def transform(self, values: Float[Tensor, "D N"]) -> Complex[Tensor, "D Q M"]:
        """Return angular harmonics Σ v exp(−imψ) / points, doubled for m > 0, within the limits."""
        out = values.new_zeros(len(values), self.rings, self.highest + 1, dtype=torch.complex64)
        for band in self.bands:
            on_rings = values[:, band.points].unflatten(1, (band.count, band.azimuths))
            most = min(band.azimuths // 2, self.highest + 1)
            found = torch.fft.rfft(on_rings)[..., :most]
            out[:, band.rings, :most] = found.mul_(2 / band.azimuths)
        out[..., 0] *= 0.5
        return out

    def inverse(self, harmonics: Complex[Tensor, "D Q M"]) -> Float[Tensor, "D N"]:
        """Return Σ h exp(imψ) / points on the points; the sum over a ring is its harmonic 0."""
        parts = []
        for band in self.bands:
            most = min(band.azimuths // 2, self.highest + 1)
            on_rings = harmonics[:, band.rings, :most]
            parts.append(torch.fft.irfft(on_rings, n=band.azimuths).flatten(1))
        return torch.cat(parts, 1)

    def waves(self, even: bool, device: torch.device | str) -> Float[Tensor, "J M2"]:
        """Return cos mα and sin mα at the angles of the first half turn, as the columns go.

        For one parity of m: the second half turn has the same values for even m, and their
        negatives for odd m.
        """
        chosen = [m for m in self.orders if (m % 2 == 0) == even]
        alpha = torch.arange(self.angles // 2, dtype=torch.float64) * (2 * math.pi / self.angles)
        phase = alpha[:, None] * torch.tensor(chosen, dtype=torch.float64)
        return torch.stack([phase.cos(), phase.sin()], -1).flatten(1).float().to(device)


def _cubic(place: Float[Tensor, "P"]) -> Float[Tensor, "P 4"]:
    """Return Lagrange's weights of the nodes 0, 1, 2, 3 for the polynomial through them."""
    columns = []
    for node in range(_TAPS):
        others = [other for other in range(_TAPS) if other != node]
        factors = [(place - other) / (node - other) for other in others]
        columns.append(torch.stack(factors).prod(0))
    return torch.stack(columns, 1)


def _curvature(s: Float[Tensor, "P 3"]) -> float:
    """Return c of the paraboloid s_z = c·|s|², which every Ewald sphere is: c = −λ/2."""
    square = s.square().sum(1)
    curvature = float((s[:, 2] @ square) / (square @ square).clamp_min(1e-300))
    off = (s[:, 2] - curvature * square).abs().max() / s.norm(dim=1).max()
    if off > _FLATNESS:
        raise SamplingError(
            f"pixels lie up to {float(off):.1%} of |s| off one Ewald sphere; the harmonic E-step "
            'needs them on it: use engine = "dense"'
        )
    return curvature
