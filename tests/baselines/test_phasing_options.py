"""Phasing with parts missing, a background, both hands at once, and an interruption."""

import re
from dataclasses import replace
from threading import Event

import pytest
import torch

from baselines.phasing.config import PhasingConfig, StageConfig
from baselines.phasing.run import phase
from baselines.phasing.stage import Stage, Starts
from baselines.phasing.support import ball, blur, on_grid
from baselines.phasing.transforms import centred_factors, resized
from baselines.phasing.twin import break_twins
from xraisim.core.align import align_density
from xraisim.core.errors import ConfigError
from xraisim.core.fourier import radius, reciprocal, to_structure_factors
from xraisim.core.fsc import fsc
from xraisim.core.radial import shell_numbers, shell_s, shell_sums
from xraisim.core.random import generator
from xraisim.core.types import Volume

GRID, VOXEL, DIAMETER = 33, 5.0, 70.0
SPACING = reciprocal(GRID, VOXEL)
EDGE = 15 * SPACING
CONFIG = PhasingConfig(
    diameter_angstrom=DIAMETER,
    s_max_per_angstrom=EDGE,
    starts=2,
    refined=2,
    coarse=StageConfig(schedule="45 hio, 15 er, 30 raar, 20 er", support_every=15, blur_voxels=2.0),
    fine=StageConfig(schedule="10 raar, 10 er", support_every=10, blur_voxels=1.5),
)


def _phantom():
    generator = torch.Generator().manual_seed(5)
    inside = torch.nonzero(radius(GRID, VOXEL) < 0.4 * DIAMETER)
    chosen = inside[torch.randperm(len(inside), generator=generator)[:60]]
    lumps = torch.zeros(GRID, GRID, GRID)
    lumps[tuple(chosen.T)] = 0.3 + torch.rand(60, generator=generator)
    return blur(lumps[None], 0.9)[0].clamp_min(0)


TRUTH = to_structure_factors(_phantom(), VOXEL)
INTENSITY = Volume(values=TRUTH.abs() ** 2, spacing=SPACING, kind="intensity")


def _fsc(result):
    found = to_structure_factors(result.density.values, result.density.spacing)
    placed = align_density(found, TRUTH, SPACING, (0.0, EDGE)).structure_factors
    return fsc(placed, TRUTH)[3:15]


@pytest.mark.parametrize("name", ["er", "hio", "raar", "dm"])
def test_every_algorithm_recovers_the_phantom_after_a_common_start(name):
    schedule = f"40 hio, 30 {name}, 20 er"
    stage = StageConfig(schedule=schedule, support_every=15, blur_voxels=2.0)
    assert _fsc(phase(INTENSITY, replace(CONFIG, coarse=stage), seed=1)).mean() > 0.9


def test_a_masked_wedge_is_filled_in():
    weight = torch.ones(GRID, GRID, GRID)
    weight[:, 14:19, 14:19] = 0.0
    spoilt = torch.where(weight > 0, INTENSITY.values, 1e9)
    result = phase(replace(INTENSITY, values=spoilt), CONFIG, seed=1, weight=weight)
    assert _fsc(result).mean() > 0.9


def test_a_background_that_is_constant_in_each_shell_is_found():
    mean = shell_sums(INTENSITY.values) / shell_sums(torch.ones_like(INTENSITY.values))
    level = mean.float()[shell_numbers(GRID).clamp_max(GRID // 2)]
    measured = replace(INTENSITY, values=INTENSITY.values + level)
    plain = phase(measured, CONFIG, seed=1)
    fitted = phase(measured, replace(CONFIG, background=True), seed=1)
    assert plain.background is None
    assert fitted.background is not None
    assert fitted.r_factors[0] < 0.5 * plain.r_factors[0]
    assert _fsc(fitted).mean() > _fsc(plain).mean() + 0.05
    ratio = fitted.background[3:13] / mean[3:13]
    assert ratio.min() > 0.6
    assert ratio.max() < 1.4


def test_without_positivity_negative_densities_are_found():
    signed = _phantom() * torch.where(radius(GRID, VOXEL) < 15.0, -1.0, 1.0)
    factors = to_structure_factors(signed, VOXEL)
    intensity = replace(INTENSITY, values=factors.abs() ** 2)
    bounded = phase(intensity, CONFIG, seed=1)
    free = phase(intensity, replace(CONFIG, positivity=False, volume_angstrom3=1.3e5), seed=1)
    assert free.density.values.min() < -0.2 * free.density.values.max()
    assert bounded.density.values.min() > -0.2 * bounded.density.values.max()


@pytest.mark.parametrize(("volume", "voxels"), [(1.0, 0), (1e12, r"\d[\d,]*")])
def test_a_volume_is_a_part_of_the_field(volume, voxels):
    with pytest.raises(
        ConfigError,
        match=rf"is {re.escape(format(volume, 'g'))}, which is {voxels} voxels of .* field",
    ):
        phase(INTENSITY, replace(CONFIG, volume_angstrom3=volume), seed=1)


def test_a_start_of_both_hands_is_detected_and_broken():
    stage = Stage.at(INTENSITY, (0.0, EDGE), CONFIG.coarse, CONFIG)
    truth = resized(torch.fft.ifftshift(_phantom())[None], stage.grid, GRID)
    both = (truth + truth.flip(1, 2, 3).roll((1, 1, 1), (1, 2, 3))) / 2
    room = on_grid(ball(GRID, VOXEL, DIAMETER), stage.grid)[None]
    one_hand, two_hands = stage.twin_overlaps(
        Starts(density=torch.cat([truth, both]), support=room.repeat(2, 1, 1, 1))
    )
    assert one_hand < 0.7
    assert two_hands > 0.95

    modulus = stage.modulus
    stuck = Starts(density=both, support=room, r_factor=tuple(modulus.r_factors(both)))
    freed, broken = break_twins(stage, stuck, generator(0, "test"), Event())
    assert broken == 1
    assert freed.r_factor[0] < 0.5 * stuck.r_factor[0]
    assert stage.twin_overlaps(freed)[0] < 0.8
    assert len(centred_factors(freed.density, stage.size, stage.voxel)) == 1


def test_an_interrupted_run_returns_what_it_has():
    halt, done = Event(), []

    def progress(iterations):
        done.append(iterations)
        if len(done) >= 40:
            halt.set()

    result = phase(INTENSITY, CONFIG, seed=1, progress=progress, halt=halt)
    assert result.interrupted
    assert sum(done) < CONFIG.iterations
    assert torch.isfinite(result.density.values).all()
    assert len(result.prtf) == len(result.prtf_s)
    assert shell_s(GRID, SPACING)[-1] >= result.prtf_s[-1]
