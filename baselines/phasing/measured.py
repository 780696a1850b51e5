"""What is measured: checks of an intensity and its weights, and where its particle may be."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from baselines.phasing.config import PhasingConfig
from baselines.phasing.support import autocorrelation_support, ball, require_room
from xraisim.core.errors import ConfigError, FormatError, SamplingError
from xraisim.core.fourier import radius, reciprocal
from xraisim.core.types import Volume

_FEWEST_SHELLS = 5
_ASYMMETRIC, _CLEARLY = 0.02, 0.6


def known_range(
    intensity: Volume, config: PhasingConfig, weight: Float[Tensor, "G G G"] | None
) -> tuple[float, float]:
    """Return where the intensity is known (Å⁻¹), cut to the volume.

    Raises :class:`ConfigError` for a volume that is no intensity, :class:`SamplingError` for a
    range that is too narrow, :class:`FormatError` for values that cannot be phased.
    """
    if intensity.kind != "intensity":
        raise ConfigError(f"the volume is a {intensity.kind}; phasing starts from an intensity")
    _require_centred(intensity.values)
    edge = (intensity.grid // 2) * intensity.spacing
    s_range = config.s_min_per_angstrom or 0.0, min(config.s_max_per_angstrom or edge, edge)
    if s_range[1] - s_range[0] < _FEWEST_SHELLS * intensity.spacing:
        raise SamplingError(
            f"the intensity is known from {s_range[0]:.4g} to {s_range[1]:.4g} Å⁻¹ (the volume "
            f"ends at {edge:.4g}), fewer than {_FEWEST_SHELLS} shells; phasing needs a wider range"
        )
    r = radius(intensity.grid, intensity.spacing)
    where = (r >= s_range[0]) & (r <= s_range[1])
    if weight is not None:
        _check_weight(weight, intensity)
        where &= weight > 0
    known = intensity.values[where]
    if not torch.isfinite(known).all() or not (known > 0).any():
        raise FormatError(
            "the intensity has values that are not finite, or none above zero, where it is said to "
            "be known; check the file and the range"
        )
    return s_range


def first_room(
    intensity: Volume,
    s_range: tuple[float, float],
    diameter: float,
    config: PhasingConfig,
    weight: Float[Tensor, "G G G"] | None,
) -> Bool[Tensor, "G G G"]:
    """Return where the particle may be at first: a ball, or less if the autocorrelation says so."""
    voxel = reciprocal(intensity.grid, intensity.spacing)
    require_room(intensity.grid * voxel, diameter)
    room = ball(intensity.grid, voxel, diameter).to(intensity.values.device)
    if config.start_support == "ball":
        return room
    found = autocorrelation_support(intensity, s_range, config.autocorrelation_threshold, weight)
    return found if 0 < found.sum() < room.sum() else room


def _require_centred(intensity: Float[Tensor, "G G G"]) -> None:
    """Raise :class:`FormatError` where another voxel than the middle is the centre of symmetry.

    I(s) = I(−s), so a volume in FFT order, or centred by another convention, shows it.
    """
    grid = len(intensity)
    middle = 2 * (grid // 2)
    amplitude = intensity.clamp_min(0).sqrt()
    here = _asymmetry(amplitude, [middle] * 3)
    if here < _ASYMMETRIC:
        return
    wave = torch.polar(torch.ones(grid), 2 * math.pi * torch.arange(grid) / grid)
    profiles = [amplitude.sum([other for other in range(3) if other != axis]) for axis in range(3)]
    turns = [float((wave * profile.cpu()).sum().angle()) / (2 * math.pi) for profile in profiles]
    doubled = [round(2 * (turn % 1) * grid) for turn in turns]
    if _asymmetry(amplitude, doubled) < _CLEARLY * here:
        found = ", ".join(f"{number / 2 % grid:g}" for number in doubled)
        raise FormatError(
            f"the intensity is symmetric about voxel ({found}); expected s = 0 in the middle, at "
            f"{grid // 2} of {grid}: centre it (numpy.fft.fftshift for a volume in FFT order)"
        )


def _asymmetry(amplitude: Tensor, doubled_centre: list[int]) -> float:
    """Return Σ|a(c + k) − a(c − k)| / 2 Σ a about the centre c, periodically."""
    mate = amplitude
    for axis, number in enumerate(doubled_centre):
        mate = mate.flip(axis).roll(number + 1, axis)
    return float((amplitude - mate).abs().sum() / (2 * amplitude.sum()).clamp_min(1e-30))


def _check_weight(weight: Tensor, intensity: Volume) -> None:
    if weight.shape != intensity.values.shape:
        raise SamplingError(
            f"the weights have shape {tuple(weight.shape)} and the intensity "
            f"{tuple(intensity.values.shape)}; give one weight per voxel"
        )
    if not ((weight >= 0) & (weight <= 1)).all():
        raise FormatError(
            f"the weights run from {float(weight.min()):.3g} to {float(weight.max()):.3g}; "
            "expected 0 (masked) to 1 (measured)"
        )
