"""Expand: the slices of an intensity volume along every view direction, on the polar grid.

A volume is interpolated after division by the radial profile of the data, which is steep, and
multiplied by it again on the rings: what trilinear weights then smooth is only the speckle.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from baselines.emc.harmonics import PhotonHarmonics, pack
from baselines.emc.polar import PolarGrid
from xraisim.core import rotations
from xraisim.core.errors import SamplingError
from xraisim.core.fourier import radius
from xraisim.core.radial import interpolated, sum_by_shell
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Pixels, Volume

DARKEST = 1e-4  # of the radial profile: no template may be zero, where its logarithm ends
_SHELLS = 2  # per speckle 1/D, of the radial profile
_SAMPLES = 2**23  # slice samples held at once


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The radial mean of the intensity (electrons²), positive, at evenly spaced |s| (Å⁻¹)."""

    radius: Float[Tensor, "B"]
    values: Float[Tensor, "B"]

    @classmethod
    def of(cls, pixels: Pixels, signal: Float[Tensor, "P"], diameter_angstrom: float) -> "Profile":
        """Divide photons by exposures in shells half a speckle thick; ``signal``: mean counts."""
        s = pixels.radius.double()
        count = max(2, int((s[-1] - s[0]) * diameter_angstrom * _SHELLS))
        shell = ((s - s[0]) * (count / (s[-1] - s[0]))).long().clamp_max(count - 1)
        columns = (signal, pixels.gain, s * pixels.gain)
        sums = torch.stack([sum_by_shell(shell, values.double(), count) for values in columns])
        photons, exposure, moment = sums[:, (sums[0] > 0) & (sums[1] > 0)].cpu()
        if not len(photons):
            raise SamplingError("no photons above the background; check mask and background")
        radius = torch.linspace(float(s[0]), float(s[-1]), count + 1)
        mean = np.interp(radius, moment / exposure, (photons / exposure).log())
        return cls(radius=radius, values=torch.from_numpy(mean).exp().float())

    def at(self, s: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Return the profile at any |s| (Å⁻¹), constant beyond its ends."""
        place = (s.cpu() - self.radius[0]) / (self.radius[1] - self.radius[0])
        return interpolated(self.values, place).to(s.device)


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What the E- and M-step need of the detector: gain and background on the polar grid.

    ``gain`` [Q, M+1]: Σ_p g_p exp(imϕ_p) on the rings; ``background`` [N]: background over gain at
    the points, the mean of each ring.
    """

    gain: Complex[Tensor, "Q M"]
    background: Float[Tensor, "N"]

    @classmethod
    def of(cls, grid: PolarGrid, harmonics: PhotonHarmonics, pixels: Pixels) -> "Detector":
        """Take both from the pixels of a level."""
        gain = torch.view_as_complex(harmonics.rings_of_image(pixels.gain))
        light = torch.view_as_complex(harmonics.rings_of_image(pixels.background))
        mean = light[:, 0].real / gain[:, 0].real.clamp_min(1e-30)
        return cls(gain=gain, background=mean[grid.ring_of_point.to(mean.device)])

    @property
    def has_background(self) -> bool:
        """Whether any photon may be background."""
        return bool((self.background > 0).any())

    def lit(self, rate: Float[Tensor, "D N"], fluence: float) -> Float[Tensor, "D N"]:
        """Return φW + b in units of the gain, or W where there is no background."""
        if not self.has_background:
            return rate.clone()
        return rate * fluence + self.background

    def share(self, rate: Float[Tensor, "D N"], fluence: float) -> Float[Tensor, "D N"]:
        """Return φW/(φW + b)."""
        return rate * fluence / (rate * fluence + self.background)


def slices(
    volume: Volume, profile: Profile, grid: PolarGrid, frames: Float[Tensor, "D 4"], known: float
) -> Float[Tensor, "D N"]:
    """Return the intensity (electrons²) on the polar grid of every direction, positive.

    On rings beyond |s| = ``known`` it is the profile.
    """
    flat = volume.values / profile.at(radius(volume.grid, volume.spacing)).to(volume.values)
    inside = grid.points_within(known)
    points = grid.points[:inside].to(flat.device)
    rate = flat.new_ones(len(frames), len(grid.points))
    cut = slice_volume(flat, rotations.to_matrix(frames), points, volume.spacing)
    rate[:, :inside] = cut.clamp_min_(DARKEST)
    return rate.mul_(profile.at(grid.radius)[grid.ring_of_point].to(flat.device))


@dataclass(frozen=True, kw_only=True)
class Known:
    """How far out a volume is known, and the fluence that matters where there is background."""

    s_max_per_angstrom: float
    fluence: float


def template_rows(
    grid: PolarGrid, detector: Detector, rate: Float[Tensor, "D N"], known: Known
) -> Float[Tensor, "D W"]:
    """Return packed harmonics of log(φW + b) on the rings, and of Σ gain·W on the exposure ring.

    Rings beyond what is known are zero, and tell orientations nothing.
    """
    inside = grid.rings_within(known.s_max_per_angstrom)
    exposure = (grid.transform(rate) * detector.gain)[:, :inside].sum(1, keepdim=True)
    found = grid.transform(detector.lit(rate, known.fluence).log_())
    found[:, inside:] = 0
    return _packed(grid, found, exposure)


def share_rows(
    grid: PolarGrid, detector: Detector, rate: Float[Tensor, "D N"], known: Known
) -> Float[Tensor, "D W"]:
    """Return packed harmonics of φW/(φW + b), the probability that a photon is signal."""
    share = grid.transform(detector.share(rate, known.fluence))
    share[:, grid.rings_within(known.s_max_per_angstrom) :] = 0
    return _packed(grid, share, torch.zeros_like(share[:, :1]))


def _packed(grid: PolarGrid, rings: Tensor, exposure: Tensor) -> Float[Tensor, "D W"]:
    both = torch.cat([rings, exposure], 1)
    return pack(grid, torch.view_as_real(both.conj().resolve_conj()))


def along(
    volume: Volume,
    profile: Profile,
    grid: PolarGrid,
    detector: Detector,
    frames: Float[Tensor, "D 4"],
    known: Known,
    rows: Callable[[PolarGrid, Detector, Tensor, Known], Tensor] = template_rows,
) -> Float[Tensor, "D W"]:
    """Return rows, of templates or of shares, of a volume along many directions."""
    out = torch.empty(len(frames), grid.width, device=frames.device)
    for part in torch.arange(len(frames)).split(max(1, _SAMPLES // len(grid.points))):
        rate = slices(volume, profile, grid, frames[part], known.s_max_per_angstrom)
        out[part] = rows(grid, detector, rate, known)
    return out
