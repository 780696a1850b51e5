"""Phase an intensity volume: several random starts, the best refined, aligned and averaged."""

import math
import time
from dataclasses import dataclass
from threading import Event

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from baselines.phasing.average import align
from baselines.phasing.config import PhasingConfig
from baselines.phasing.prtf import prtf
from baselines.phasing.stage import Progress, Stage, Starts
from baselines.phasing.support import (
    autocorrelation_support,
    ball,
    estimate_diameter,
    on_grid,
    require_room,
)
from baselines.phasing.twin import break_twins
from xraisim.core.device import choose_device
from xraisim.core.errors import ConfigError, FormatError, SamplingError
from xraisim.core.fourier import radius, reciprocal
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
    starts; ``twin_overlaps``: how far each refined start is its own inverse, and ``twins_broken``
    how many starts left a superposition of both hands. ``support_angstrom3``: mean volume of the
    kept supports. ``background``: of the best start at ``prtf_s``, as an intensity; None without.
    ``interrupted``: what is here had not run to its end.
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
    twin_overlaps: tuple[float, ...]
    twins_broken: int
    background: Float[Tensor, "shells"] | None
    interrupted: bool


def phase(
    intensity: Volume,
    config: PhasingConfig,
    seed: int = 0,
    progress: Progress = lambda iterations: None,
    *,
    weight: Float[Tensor, "G G G"] | None = None,
    halt: Event | None = None,
) -> PhasingResult:
    """Return the density whose |F|² is ``intensity`` where that is known.

    ``weight`` says how far each voxel is trusted, from 0 (masked: F is free there) to 1.
    ``progress`` is called, from several threads, with the number of iterations done since the last
    call; they add up to ``config.iterations``. Once ``halt`` is set, what there is by then is
    averaged and returned. Raises :class:`ConfigError` for a volume that is no intensity or a range
    that is empty, :class:`SamplingError` for one sampled too coarsely for the particle.
    """
    began = time.monotonic()
    found = phase_starts(intensity, config, seed, progress, weight=weight, halt=halt)
    return _averaged(found, intensity.grid, config, began)


@dataclass(frozen=True, kw_only=True)
class PhasedStarts:
    """Refined starts before they are averaged, and the ``stage`` that they ended in."""

    stage: Stage
    starts: Starts
    diameter_angstrom: float
    coarse_r_factors: tuple[float, ...]
    twins_broken: int
    interrupted: bool


def phase_starts(
    intensity: Volume,
    config: PhasingConfig,
    seed: int = 0,
    progress: Progress = lambda iterations: None,
    *,
    weight: Float[Tensor, "G G G"] | None = None,
    halt: Event | None = None,
) -> PhasedStarts:
    """Return the refined starts that :func:`phase` averages, in the order they were drawn."""
    halt = halt or Event()
    s_range = _known_range(intensity, config, weight)
    device = choose_device(config.device)
    known = intensity.to(device)
    trust = None if weight is None else weight.to(device)
    diameter = config.diameter_angstrom or estimate_diameter(known, s_range, trust)
    s_coarse = max(config.coarse_fraction * s_range[1], config.coarse_speckles / diameter)
    s_first = (s_range[0], min(s_coarse, s_range[1]))
    stage = Stage.at(known, s_first, config.coarse, config, trust)
    draws = [generator(seed, f"phasing/{index}") for index in range(config.starts)]
    room = on_grid(_room(known, s_range, diameter, config, trust), stage.grid)
    starts = stage.iterate(stage.begin(room, draws), progress, halt)
    starts, broken = break_twins(stage, starts, generator(seed, "phasing/twin"), halt)
    coarse_r_factors = tuple(sorted(starts.r_factor))
    starts = starts.take(sorted(starts.ranking[: config.refined]))
    if not halt.is_set():
        fine = Stage.at(known, s_range, config.fine, config, trust)
        stage, starts = fine, fine.iterate(fine.from_coarser(stage, starts), progress, halt)
    return PhasedStarts(
        stage=stage,
        starts=starts,
        diameter_angstrom=diameter,
        coarse_r_factors=coarse_r_factors,
        twins_broken=broken,
        interrupted=halt.is_set(),
    )


def _room(
    intensity: Volume,
    s_range: tuple[float, float],
    diameter: float,
    config: PhasingConfig,
    weight: Tensor | None,
) -> Bool[Tensor, "G G G"]:
    """Return where the particle may be at first: a ball, or less if the autocorrelation says so."""
    voxel = reciprocal(intensity.grid, intensity.spacing)
    require_room(intensity.grid * voxel, diameter)
    room = ball(intensity.grid, voxel, diameter).to(intensity.values.device)
    if config.start_support == "ball":
        return room
    found = autocorrelation_support(intensity, s_range, config.autocorrelation_threshold, weight)
    return found if 0 < found.sum() < room.sum() else room


def _averaged(found: PhasedStarts, grid: int, config: PhasingConfig, began: float) -> PhasingResult:
    """Return what the starts agree on, on a cube of ``grid`` voxels."""
    stage, starts = found.stage, found.starts.take(found.starts.ranking)
    limit = config.r_tolerance * starts.r_factor[0]
    kept = sum(value <= limit for value in starts.r_factor)
    # A PRTF needs two starts even where one is averaged.
    aligned = align(stage.factors(starts.take(range(max(kept, 2)))), stage.spacing, stage.s_range)
    curve, s = prtf(aligned.factors).cpu(), shell_s(stage.size, stage.spacing)
    levels = None
    if starts.background is not None:
        levels = starts.background[0, : len(s)].cpu().double() ** 2
    return PhasingResult(
        density=stage.density(aligned.mean(kept), grid),
        prtf=curve,
        prtf_s=s,
        resolution=first_crossing(curve, s, 1 / math.e, PRTF_RULE, stage.s_range),
        diameter_angstrom=found.diameter_angstrom,
        r_factors=starts.r_factor,
        coarse_r_factors=found.coarse_r_factors,
        kept=kept,
        support_angstrom3=float(starts.support[:kept].sum()) * stage.voxel**3 / kept,
        twin_overlaps=tuple(stage.twin_overlaps(starts)),
        twins_broken=found.twins_broken,
        background=levels,
        interrupted=found.interrupted,
        seconds=time.monotonic() - began,
    )


def _known_range(
    intensity: Volume, config: PhasingConfig, weight: Tensor | None
) -> tuple[float, float]:
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
