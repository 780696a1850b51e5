"""Phase an intensity volume: several random starts, the best refined, aligned and averaged."""

import math
import time
from dataclasses import dataclass, replace
from threading import Event

from jaxtyping import Bool, Float
from torch import Tensor

from baselines.phasing.average import align
from baselines.phasing.config import PhasingConfig
from baselines.phasing.doubts import doubts, shell_r_factors
from baselines.phasing.evidence import Trial, chosen, weigh_thresholds
from baselines.phasing.measured import first_room, known_range
from baselines.phasing.noise import noise_r_factors
from baselines.phasing.prtf import prtf
from baselines.phasing.stage import Progress, Stage, Starts
from baselines.phasing.support import estimate_diameter, on_grid
from baselines.phasing.twin import break_twins
from xraisim.core.device import choose_device
from xraisim.core.fsc import Resolution, first_crossing
from xraisim.core.radial import shell_s
from xraisim.core.random import generator
from xraisim.core.types import Volume

PRTF_RULE = "prtf_1/e"
_MOST_AGAIN = 6
_PAYS = 0.9


@dataclass(frozen=True, kw_only=True)
class PhasingResult:
    """What :func:`phase` found.

    ``density``: mean of the kept starts on the grid of the intensity; its hand is arbitrary and its
    position roughly central. ``prtf`` at ``prtf_s`` (Å⁻¹): [shells], float64, and ``resolution``
    its 1/e crossing. ``diameter_angstrom``: as given or estimated.

    ``r_factors``: of the refined starts, best first, of which the first ``kept`` are averaged;
    ``coarse_r_factors``: of all starts; ``shell_r_factors``: of the best one at ``prtf_s``, and
    ``noise_r_factors``: as much of them as noise explains; ``doubts``: what these say against the
    result, as sentences.

    ``support_angstrom3``: mean volume of the kept supports; ``threshold``: at which they were
    drawn, and ``trials`` by which that was chosen. ``twin_overlaps``: how far each refined start is
    its own inverse, and ``twins_broken`` how many starts left a superposition of both hands.
    ``background``: of the best start at ``prtf_s``, as an intensity; None without.
    ``interrupted``: what is here had not run to its end.
    """

    density: Volume
    prtf: Float[Tensor, "shells"]
    prtf_s: Float[Tensor, "shells"]
    resolution: Resolution
    diameter_angstrom: float
    r_factors: tuple[float, ...]
    coarse_r_factors: tuple[float, ...]
    shell_r_factors: Float[Tensor, "shells"]
    noise_r_factors: Float[Tensor, "shells"]
    doubts: tuple[str, ...]
    threshold: float
    trials: tuple[Trial, ...]
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
    support: Bool[Tensor, "S S S"] | None = None,
    halt: Event | None = None,
) -> PhasingResult:
    """Return the density whose |F|² is ``intensity`` where that is known.

    ``weight`` says how far each voxel is trusted, from 0 (masked: F is free there) to 1.
    ``support``: where the particle is, if that is known, on any centred cube of odd size that spans
    the field 1/spacing; it is kept as it is. ``progress`` is called, from several threads, with the
    number of iterations done since the last call; they add up to ``config.iterations``. Once
    ``halt`` is set, what there is by then is averaged and returned. Raises :class:`ConfigError` for
    a volume that is no intensity or a range that is empty, :class:`SamplingError` for one sampled
    too coarsely for the particle.
    """
    began = time.monotonic()
    found = phase_starts(
        intensity, config, seed, progress, weight=weight, support=support, halt=halt
    )
    noise = noise_r_factors(intensity, found.stage.s_range, found.diameter_angstrom, weight)
    return _averaged(found, intensity.grid, config, noise, began)


@dataclass(frozen=True, kw_only=True)
class PhasedStarts:
    """Refined starts before they are averaged, and the ``stage`` that they ended in.

    ``coarse``: the stage before; ``trials``: of thresholds for the support, if it was chosen.
    """

    stage: Stage
    starts: Starts
    diameter_angstrom: float
    coarse: Stage
    coarse_r_factors: tuple[float, ...]
    twins_broken: int
    trials: tuple[Trial, ...]
    interrupted: bool


def phase_starts(
    intensity: Volume,
    config: PhasingConfig,
    seed: int = 0,
    progress: Progress = lambda iterations: None,
    *,
    weight: Float[Tensor, "G G G"] | None = None,
    support: Bool[Tensor, "S S S"] | None = None,
    halt: Event | None = None,
) -> PhasedStarts:
    """Return the refined starts that :func:`phase` averages, in the order they were drawn."""
    halt = halt or Event()
    s_range = known_range(intensity, config, weight)
    device = choose_device(config.device)
    known = intensity.to(device)
    trust = None if weight is None else weight.to(device)
    stated = None if support is None else support.to(device)
    diameter = config.diameter_angstrom or estimate_diameter(known, s_range, trust)
    room = first_room(known, s_range, diameter, config, trust) if stated is None else stated
    coarse, fine = _stages(known, s_range, diameter, config, trust, stated)
    for stage in (coarse, fine):
        stage.require_volume()
    draw = _Draw(room=room, seed=seed, halt=halt)
    starts, broken = draw.started(coarse, progress)
    trials: tuple[Trial, ...] = ()
    if config.chooses_threshold and stated is None and not halt.is_set():
        best, held_out = starts.take(starts.ranking[:1]), generator(seed, "phasing/held out")
        trials = weigh_thresholds(fine, coarse, best, held_out, halt)
    threshold = chosen(trials).threshold if trials else coarse.threshold
    if threshold != coarse.threshold:
        coarse, fine = (replace(stage, threshold=threshold) for stage in (coarse, fine))
        starts, broken = draw.started(coarse, lambda iterations: None)
        starts = _taken_on(coarse, starts, halt)
    stage, refined = coarse, starts.take(sorted(starts.ranking[: config.refined]))
    if not halt.is_set():
        stage, refined = fine, fine.iterate(fine.from_coarser(coarse, refined), progress, halt)
    return PhasedStarts(
        stage=stage,
        starts=refined,
        diameter_angstrom=diameter,
        coarse=coarse,
        coarse_r_factors=tuple(sorted(starts.r_factor)),
        twins_broken=broken,
        trials=trials,
        interrupted=halt.is_set(),
    )


def _stages(
    intensity: Volume,
    s_range: tuple[float, float],
    diameter: float,
    config: PhasingConfig,
    weight: Tensor | None,
    support: Tensor | None,
) -> tuple[Stage, Stage]:
    """Return the coarse stage and the one of full resolution."""
    s_coarse = max(config.coarse_fraction * s_range[1], config.coarse_speckles / diameter)
    s_first = (s_range[0], min(s_coarse, s_range[1]))
    return (
        Stage.at(intensity, s_first, config.coarse, config, weight, support),
        Stage.at(intensity, s_range, config.fine, config, weight, support),
    )


@dataclass(frozen=True, kw_only=True)
class _Draw:
    """Where random densities are drawn, and from which seed."""

    room: Bool[Tensor, "S S S"]
    seed: int
    halt: Event

    def started(self, stage: Stage, progress: Progress) -> tuple[Starts, int]:
        """Return all starts after the coarse ``stage``, and how many left their twin."""
        draws = [generator(self.seed, f"phasing/{i}") for i in range(stage.config.starts)]
        begun = stage.begin(on_grid(self.room, stage.grid), draws)
        starts = stage.iterate(begun, progress, self.halt)
        return break_twins(stage, starts, generator(self.seed, "phasing/twin"), self.halt)


def _taken_on(stage: Stage, starts: Starts, halt: Event) -> Starts:
    """Return the starts after the stage's schedule over again, as often as that pays.

    The wider the support is, the more iterations it takes to fill it rightly.
    """
    for _ in range(_MOST_AGAIN):
        further = stage.iterate(starts, lambda iterations: None, halt)
        if halt.is_set() or min(further.r_factor) >= min(starts.r_factor):
            return starts
        pays = min(further.r_factor) < _PAYS * min(starts.r_factor)
        starts = further
        if not pays:
            break
    return starts


def _averaged(
    found: PhasedStarts,
    grid: int,
    config: PhasingConfig,
    noise: Float[Tensor, "shells"],
    began: float,
) -> PhasingResult:
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
    resolution = first_crossing(curve, s, 1 / math.e, PRTF_RULE, stage.s_range)
    return PhasingResult(
        density=stage.density(aligned.mean(kept), grid),
        prtf=curve,
        prtf_s=s,
        resolution=resolution,
        diameter_angstrom=found.diameter_angstrom,
        r_factors=starts.r_factor,
        coarse_r_factors=found.coarse_r_factors,
        shell_r_factors=shell_r_factors(stage, starts.take([0])),
        noise_r_factors=noise[: len(s)],
        doubts=doubts(
            stage,
            starts.take([0]),
            (found.coarse, found.coarse_r_factors[0]),
            resolution,
            noise,
        ),
        threshold=stage.threshold,
        trials=found.trials,
        kept=kept,
        support_angstrom3=float(starts.support[:kept].sum()) * stage.voxel**3 / kept,
        twin_overlaps=tuple(stage.twin_overlaps(starts)),
        twins_broken=found.twins_broken,
        background=levels,
        interrupted=found.interrupted,
        seconds=time.monotonic() - began,
    )
