"""Phase an intensity volume: several random starts, the best refined, aligned and averaged."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.phasing.config import PhasingConfig
from baselines.phasing.prtf import prtf
from baselines.phasing.stage import Stage, Trial
from baselines.phasing.support import estimate_diameter
from xraisim.core.device import choose_device
from xraisim.core.errors import ConfigError, FormatError, SamplingError
from xraisim.core.fourier import radius
from xraisim.core.fsc import Resolution, first_crossing, shell_s
from xraisim.core.random import generator
from xraisim.core.types import Volume

PRTF_RULE = "prtf_1/e"
_FEWEST_SHELLS = 5


@dataclass(frozen=True, kw_only=True)
class PhasingResult:
    """What :func:`phase` found.

    ``density``: mean of the kept starts on the grid of the intensity; its hand is arbitrary and its
    position roughly central. ``prtf`` at ``prtf_s`` (Å⁻¹): [shells], float64, and ``resolution``
    its 1/e crossing. ``diameter_angstrom``: as given or estimated. ``r_factors``: of the refined
    starts, best first, of which the first ``kept`` are averaged; ``coarse_r_factors``: of all
    starts. ``support_angstrom3``: mean volume of the kept supports.
    """

    density: Volume
    prtf: Float[Tensor, "shells"]
    prtf_s: Float[Tensor, "shells"]
    resolution: Resolution
    diameter_angstrom: float
    r_factors: tuple[float, ...]
    coarse_r_factors: tuple[float, ...]
    kept: int
    support_angstrom3: float
    seconds: float


def phase(
    intensity: Volume,
    config: PhasingConfig,
    seed: int = 0,
    progress: Callable[[int], None] = lambda iterations: None,
) -> PhasingResult:
    """Return the density whose |F|² is ``intensity`` where that is known.

    ``progress`` is called with the number of iterations done since the last call; they add up to
    ``config.iterations``. Raises :class:`ConfigError` for a volume that is no intensity or a range
    that is empty, :class:`SamplingError` for one sampled too coarsely for the particle.
    """
    began = time.monotonic()
    s_range = _known_range(intensity, config)
    known = replace(intensity, values=intensity.values.to(choose_device(config.device)))
    diameter = config.diameter_angstrom or estimate_diameter(known, s_range)
    s_coarse = max(config.coarse_fraction * s_range[1], config.coarse_speckles / diameter)
    coarse = Stage.at(known, (s_range[0], min(s_coarse, s_range[1])), config.coarse, config)
    fine = Stage.at(known, s_range, config.fine, config)

    draws = [generator(seed, f"phasing/{index}") for index in range(config.starts)]
    trials = sorted((coarse.start(diameter, draw, progress) for draw in draws), key=_r_factor)
    refined = sorted(
        (fine.go_on(coarse, t, progress) for t in trials[: config.refined]), key=_r_factor
    )
    kept = sum(t.r_factor <= config.r_tolerance * refined[0].r_factor for t in refined)
    # A PRTF needs two starts even where one is averaged.
    aligned = fine.align(refined[: max(kept, 2)])
    curve, s = prtf(aligned).cpu(), shell_s(fine.grid, fine.spacing)
    supports = [float(t.support.sum()) * fine.voxel**3 for t in refined[:kept]]
    return PhasingResult(
        density=fine.density(torch.stack(aligned[:kept]).mean(0), intensity.grid),
        prtf=curve,
        prtf_s=s,
        resolution=first_crossing(curve, s, 1 / math.e, PRTF_RULE, s_range),
        diameter_angstrom=diameter,
        r_factors=tuple(t.r_factor for t in refined),
        coarse_r_factors=tuple(t.r_factor for t in trials),
        kept=kept,
        support_angstrom3=sum(supports) / kept,
        seconds=time.monotonic() - began,
    )


def _r_factor(trial: Trial) -> float:
    return trial.r_factor


def _known_range(intensity: Volume, config: PhasingConfig) -> tuple[float, float]:
    """Return where the intensity is known, cut to the volume."""
    if intensity.kind != "intensity":
        raise ConfigError(f"the volume is a {intensity.kind}; phasing starts from an intensity")
    edge = (intensity.grid // 2) * intensity.spacing
    s_range = config.s_min_per_angstrom or 0.0, min(config.s_max_per_angstrom or edge, edge)
    if s_range[1] - s_range[0] < _FEWEST_SHELLS * intensity.spacing:
        raise SamplingError(
            f"the intensity is known from {s_range[0]:.4g} to {s_range[1]:.4g} Å⁻¹ (the volume "
            f"ends at {edge:.4g}), fewer than {_FEWEST_SHELLS} shells; phasing needs a wider range"
        )
    r = radius(intensity.grid, intensity.spacing)
    known = intensity.values[(r >= s_range[0]) & (r <= s_range[1])]
    if not torch.isfinite(known).all() or not (known > 0).any():
        raise FormatError(
            "the intensity has values that are not finite, or none above zero, where it is said to "
            "be known; check the file and the range"
        )
    return s_range
