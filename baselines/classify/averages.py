"""Class averages on the polar grid: templates, starts from single patterns, and the M-step."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.classify.stage import Stage
from baselines.emc.compress import polar_sums
from baselines.emc.expand import DARKEST
from xraisim.core.radial import sum_by_shell

_SEED_PULL = 4.0  # times the prior: a seed is one pattern's photons, an average is of many
_WIDEST, _NARROWEST = 1.0, 0.15  # standard deviation of the logarithm of a class's fluences
_LATTICE = 4  # fold symmetry of a square lattice of pixels
_LEAST_SHARE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Classes:
    """K classes of patterns.

    ``rate`` [K, N]: intensities (electrons²) on the points of the polar grid, scaled so that a
    fluence of 1 gives the mean signal; ``share`` [K]: of the patterns; ``brightness`` [K, 2]: mean
    and standard deviation of log fluence.
    """

    rate: Float[Tensor, "K N"]
    share: Float[Tensor, "K"]
    brightness: Float[Tensor, "K 2"]

    def __len__(self) -> int:
        return len(self.rate)

    def to(self, device: torch.device) -> "Classes":
        """Return the same classes with their averages on ``device``."""
        return replace(self, rate=self.rate.to(device))

    def log_prior(self, fluence: Float[Tensor, "n"], beta: float) -> Float[Tensor, "n K"]:
        """Return log share + β log p(log φ), p normal, of patterns with these fluences."""
        mean, deviation = self.brightness.to(fluence).unbind(1)
        off = (fluence.clamp_min(DARKEST).log()[:, None] - mean) / deviation
        log_share = self.share.clamp_min(_LEAST_SHARE).log().to(fluence)
        return log_share - beta * (off.square() / 2 + deviation.log())


def without_structure(stage: Stage, rate: Float[Tensor, "K N"]) -> Float[Tensor, "K N"]:
    """Return averages of which only the harmonics m = 0, 4, 8, … about the beam are left.

    Those of a round pattern: the detector's square lattice leaves a little of m = 4, 8, … in it.
    """
    harmonics = stage.grid.transform(rate)
    harmonics[..., 1:] *= 0.5
    harmonics[..., torch.arange(harmonics.shape[-1]) % _LATTICE != 0] = 0
    left = stage.grid.inverse(harmonics * stage.counts[:, None])
    return left.clamp_min(DARKEST).maximum(DARKEST * stage.on_points(harmonics[..., 0].real))


def ring_mean(stage: Stage, rate: Float[Tensor, "K N"]) -> Float[Tensor, "K Q"]:
    """Return the mean of each ring."""
    return stage.grid.transform(rate)[..., 0].real


class Sums:
    """Signal photons of each class on the polar grid, and those expected of its rings' means.

    Photons over expected ones is the average relative to its rings' means. Expected photons are
    made pixel by pixel: a mean that falls steeply from ring to ring would otherwise leave the
    pixels' lattice in the average.
    """

    def __init__(self, stage: Stage, rings: Float[Tensor, "K Q"]) -> None:
        # Rings that kept all detail of the last ones would collect their noise, iteration by
        # iteration: what is multiplied is smooth.
        rings = (rings.log() @ stage.kernel).exp()
        self._stage, self._rings = stage, rings
        image = stage.at_pixels(rings) * stage.pixels.gain.to(rings)
        self._detectors = [
            replace(stage.detector, gain=torch.view_as_complex(stage.harmonics.rings_of_image(one)))
            for one in image
        ]
        self._photons = torch.zeros(len(rings), len(stage.grid.points), device=stage.device)
        self._expected = torch.zeros_like(self._photons)

    def add(self, packed: Float[Tensor, "K W"], rate: Float[Tensor, "K N"], fluence: float) -> None:
        """Add what patterns of about one ``fluence`` left in each class.

        ``rate``: the classes' current one, by which photons are told from the background.
        """
        grid = self._stage.grid
        parts = [
            polar_sums(packed[number : number + 1], grid, detector)
            for number, detector in enumerate(self._detectors)
        ]
        photons, expected = (torch.cat(part) for part in zip(*parts, strict=True))
        if self._stage.detector.has_background:
            photons = photons * self._stage.detector.share(rate, fluence)
        self._photons += photons
        self._expected += expected

    def rate(self, prior: float) -> Float[Tensor, "K N"]:
        """Return the averages (electrons²), scaled to the mean signal.

        Each point is pulled to its ring's mean by ``prior`` photons: the mean of the posterior
        whose prior is a gamma distribution.
        """
        stage = self._stage
        sums = _ring_sums(stage, torch.cat([self._photons, self._expected]))
        photons, expected = (sums.clamp_min(0) + prior).chunk(2)
        missing = stage.on_points(photons / expected)
        seen = smoothed(stage, self._photons).clamp_min(0)
        round_ = smoothed(stage, self._expected * missing).clamp_min(0)
        relative = ((seen + prior) / (round_ + prior)).clamp_min(DARKEST)
        return normalised(stage, relative * missing * stage.on_points(self._rings))


def on_detector(stage: Stage, rate: Float[Tensor, "K N"]) -> Float[Tensor, "K P"]:
    """Return averages (electrons²) at the pixels, interpolated relative to their rings' means."""
    grid, rings = stage.grid, ring_mean(stage, rate)
    harmonics = grid.transform(rate / stage.on_points(rings))
    order = torch.arange(grid.highest + 1)
    wave = torch.polar(torch.ones(len(order)), grid.azimuth[:, None] * order).to(harmonics)
    out = torch.zeros(len(rate), len(grid.azimuth), device=rate.device)
    for tap, weight in enumerate(grid.weight.to(rate).unbind(1)):
        ring = (grid.inner.long() + tap).to(rate.device)
        for number, of_class in enumerate(harmonics):
            out[number] += weight * (of_class[ring] * wave).sum(1).real
    return out.clamp_min(0) * stage.at_pixels(rings)


def smoothed(stage: Stage, values: Float[Tensor, "K N"]) -> Float[Tensor, "K N"]:
    """Return sums on the points, smoothed by a normal kernel along and across the rings.

    Noise from ring to ring would be more than the interpolation between rings is made for.
    """
    grid = stage.grid
    harmonics = grid.transform(values) * stage.taper
    harmonics[..., 1:] *= 0.5
    harmonics = torch.einsum("qr,krm->kqm", stage.kernel + 0j, harmonics * stage.counts[:, None])
    return grid.inverse(harmonics)


def _ring_sums(stage: Stage, values: Float[Tensor, "K N"]) -> Float[Tensor, "K Q"]:
    ring = stage.grid.ring_of_point.to(values.device)
    return torch.stack([sum_by_shell(ring, row, stage.grid.rings) for row in values])


def normalised(stage: Stage, rate: Float[Tensor, "K N"]) -> Float[Tensor, "K N"]:
    """Scale every class so that it expects the mean signal of a pattern at fluence 1."""
    harmonics = stage.grid.transform(rate)[..., 0] * stage.detector.gain[:, 0]
    return rate * (stage.signal / harmonics.real.sum(1, keepdim=True))


def seeds(
    stage: Stage, rows: Float[Tensor, "K W"], fluence: Float[Tensor, "K"], prior: float
) -> Float[Tensor, "K N"]:
    """Return averages of one pattern each, pulled more strongly to their ring's mean."""
    rows = rows.clone()
    rows[:, stage.grid.fluence_columns.to(rows.device)] = -fluence[:, None].to(rows)
    rings = stage.profile.at(stage.grid.radius).to(rows).expand(len(rows), -1)
    sums = Sums(stage, rings)
    sums.add(rows, stage.on_points(rings), float(fluence.mean()))
    return sums.rate(_SEED_PULL * prior)


def reseeded(classes: Classes, which: Tensor, rate: Float[Tensor, "k N"], share: float) -> Classes:
    """Return the classes with ``which`` [k] of them replaced."""
    rates, shares, brightness = (
        values.clone() for values in (classes.rate, classes.share, classes.brightness)
    )
    rates[which.to(rates.device)], shares[which] = rate, share
    brightness[which] = torch.tensor([0.0, _WIDEST])
    return replace(classes, rate=rates, share=shares / shares.sum(), brightness=brightness)


def brightness(
    fluence: Float[Tensor, "n"], probability: Float[Tensor, "n K"]
) -> Float[Tensor, "3 K"]:
    """Return sums over patterns of P, P log φ and P log² φ, of which blocks add up."""
    log = fluence.clamp_min(DARKEST).log()
    return torch.stack([torch.ones_like(log), log, log * log]) @ probability


def moments(sums: Float[Tensor, "3 K"]) -> Float[Tensor, "K 2"]:
    """Return mean and standard deviation from the sums of :func:`brightness`."""
    mass = sums[0].clamp_min(1e-9)
    mean = sums[1] / mass
    deviation = (sums[2] / mass - mean**2).clamp_min(0).sqrt()
    return torch.stack([mean, deviation.clamp(_NARROWEST, _WIDEST)], 1).float()
