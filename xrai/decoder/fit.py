"""Fit the implicit volume to sums: the likelihood of all patterns without a pattern.

With poses and fluences given, the Poisson likelihood over voxels is Σ P log V − E V: photons P and
exposure E per voxel say all. A fit costs the same for a thousand patterns and for a million.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.decoder.config import FitConfig
from xrai.decoder.implicit import ImplicitDecoder
from xraisim.core.fourier import coordinates
from xraisim.core.merge import Accumulator
from xraisim.core.radial import smooth_radial_mean


def profile_of(sums: Accumulator) -> Float[Tensor, "shells"]:
    """Return the mean intensity (electrons²) at every whole radius in voxels of ``sums``."""
    both = sums.symmetric()
    photons, exposure = both.photons, both.exposure
    middle = photons.shape[0] // 2
    return smooth_radial_mean(photons, exposure)[middle, middle, middle:]


def fit_sums(
    decoder: ImplicitDecoder, sums: Accumulator, config: FitConfig, generator: torch.Generator
) -> float:
    """Train ``decoder`` on sums, from what it is; return the mean of the last losses.

    The loss is that of a batch of voxels, in nats per photon relative to the radial mean.
    """
    points, photons, expected, mean = _voxels(sums, config.photons)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=config.learning_rate)
    share = float(photons.mean())
    last: list[float] = []
    for step in range(config.steps):
        rate = 0.5 * config.learning_rate * (1 + math.cos(math.pi * step / config.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        shape = (min(config.batch, len(points)),)
        chosen = torch.randint(len(points), shape, generator=generator, device=generator.device)
        chosen = chosen.to(points.device)
        ratio = decoder.at(points[chosen]) / mean[chosen]
        loss = (expected[chosen] * ratio - photons[chosen] * ratio.log()).mean() / share
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = [*last[-19:], float(loss.detach())]
    return sum(last) / len(last)


def _voxels(sums: Accumulator, most: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return points [n, 3], photons, photons expected of the radial mean, and that mean [n].

    One voxel of each Friedel pair, where there is exposure. Photons and exposure of a voxel with
    more than ``most`` expected photons are scaled down together: its mean stays what it is.
    """
    both = sums.symmetric()
    photons, exposure = both.photons, both.exposure
    mean = smooth_radial_mean(photons, exposure)
    keep = torch.arange(exposure.numel(), device=exposure.device) <= exposure.numel() // 2
    keep &= exposure.reshape(-1) > 0
    points = coordinates(exposure.shape[0], sums.spacing).to(exposure.device).reshape(-1, 3)[keep]
    photons, exposure, mean = (part.reshape(-1)[keep] for part in (photons, exposure, mean))
    expected = exposure * mean
    scale = (most / expected.clamp_min(1e-30)).clamp_max(1)
    return points, scale * photons, scale * expected, mean
