"""Phasing of a small phantom, whose density is known, from exact intensities."""

import math

import pytest
import torch

from baselines.phasing.config import PhasingConfig, StageConfig
from baselines.phasing.prtf import prtf
from baselines.phasing.run import phase
from baselines.phasing.support import (
    autocorrelation_support,
    ball,
    blur,
    estimate_diameter,
    half_of,
    on_grid,
    shrinkwrap,
)
from xraisim.core.align import align_density, shift_structure_factors
from xraisim.core.errors import ConfigError, DeviceError, FormatError, SamplingError
from xraisim.core.fourier import radius, reciprocal, to_structure_factors
from xraisim.core.fsc import first_crossing, fsc
from xraisim.core.radial import shell_s
from xraisim.core.types import Volume

GRID, VOXEL, DIAMETER = 33, 5.0, 70.0
SPACING = reciprocal(GRID, VOXEL)
EDGE = 15 * SPACING
SMALL = PhasingConfig(diameter_angstrom=DIAMETER, s_max_per_angstrom=EDGE, starts=4, refined=3)


def _phantom():
    """Uneven lumps in an off-centre ball: positive, smooth, without symmetry."""
    generator = torch.Generator().manual_seed(5)
    lumps = torch.zeros(GRID, GRID, GRID)
    inside = torch.nonzero(radius(GRID, VOXEL) < 0.4 * DIAMETER)
    chosen = inside[torch.randperm(len(inside), generator=generator)[:60]]
    lumps[tuple(chosen.T)] = 0.3 + torch.rand(60, generator=generator)
    return blur(lumps[None], 0.9)[0].clamp_min(0)


def _factors():
    return to_structure_factors(_phantom(), VOXEL)


def _intensity():
    return Volume(values=_factors().abs() ** 2, spacing=SPACING, kind="intensity")


@pytest.mark.parametrize("s_min", [0.0, 2.5 * SPACING])
def test_a_phantom_is_recovered_from_exact_intensities(s_min):
    config = PhasingConfig(
        diameter_angstrom=DIAMETER,
        s_min_per_angstrom=s_min,
        s_max_per_angstrom=EDGE,
        starts=4,
        refined=3,
    )
    done = []
    result = phase(_intensity(), config, seed=1, progress=done.append)
    found = to_structure_factors(result.density.values, result.density.spacing)
    placed = align_density(found, _factors(), SPACING, (0.0, EDGE)).structure_factors
    curve = fsc(placed, _factors())[3:15]
    assert curve.mean() > 0.9
    assert curve.min() > 0.8
    assert result.prtf[3:14].min() > 0.7
    assert result.r_factors == tuple(sorted(result.r_factors))
    assert sum(done) == config.iterations
    assert result.density.grid == GRID
    assert result.density.spacing == pytest.approx(VOXEL)


def test_the_same_seed_gives_the_same_density_and_another_seed_another():
    quick = PhasingConfig(
        diameter_angstrom=DIAMETER,
        starts=2,
        refined=2,
        coarse=StageConfig(schedule="10 raar, 5 er", support_every=5, blur_voxels=2.0),
        fine=StageConfig(schedule="5 er", support_every=5, blur_voxels=2.0),
    )
    first, again, other = (phase(_intensity(), quick, seed).density.values for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_prtf_of_identical_starts_is_one_and_of_random_phases_zero():
    factors = _factors()
    torch.testing.assert_close(prtf([factors] * 3), torch.ones(GRID // 2 + 1, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    random = [torch.randn(factors.shape, dtype=torch.complex64, generator=generator)
              for _ in range(4)]  # fmt: skip
    assert prtf(random)[6:].max() < 0.25
    # Phases spread normally by σ have |⟨exp(iφ)⟩| = exp(−σ²/2), however few the starts.
    spread = [factors * torch.exp(0.8j * torch.randn(factors.shape, generator=generator))
              for _ in range(3)]  # fmt: skip
    assert prtf(spread)[8:].mean() == pytest.approx(math.exp(-0.32), abs=0.02)
    with pytest.raises(ConfigError, match="two or more"):
        prtf([factors])


def test_blur_is_a_gaussian_of_the_stated_width_and_keeps_the_sum():
    point = torch.zeros(1, GRID, GRID, GRID)
    point[0, 0, 0, 0] = 1.0
    smooth = blur(point, 1.5)[0]
    assert smooth.sum() == pytest.approx(1.0, abs=1e-5)
    assert (smooth[2, 0, 0] / smooth[0, 0, 0]).item() == pytest.approx(math.exp(-2 / 2.25), 1e-3)


def test_shrinkwrap_finds_the_particle_in_a_loose_ball():
    density = torch.fft.ifftshift(_phantom())[None]
    loose, tight = ball(GRID, VOXEL, DIAMETER), shrinkwrap(density, 1.0, 0.1)
    assert tight.sum() < loose.sum()
    assert density[tight].sum() > 0.97 * density.sum()


def test_shrinkwrap_by_volume_keeps_the_densest_voxels():
    density = torch.rand(2, 8, 8, 8, generator=torch.Generator().manual_seed(2))
    support = shrinkwrap(density, 0.01, 0.1, volume_voxels=100)
    assert support.sum(dim=(1, 2, 3)).tolist() == [100, 100]
    assert density[0][support[0]].min() > density[0][~support[0]].max()


def test_the_autocorrelation_gives_a_room_that_holds_an_elongated_particle_closely():
    size, voxel = 65, 4.0
    axis = (torch.arange(size) - size // 2) * voxel
    x, y, z = axis[:, None, None], axis[:, None], axis
    rod = ((x / 60) ** 2 + (y / 25) ** 2 + (z / 25) ** 2 < 1).float()
    lumpy = rod * (0.2 + torch.rand(rod.shape, generator=torch.Generator().manual_seed(1)))
    moved = lumpy.roll((3, -2, 1), (0, 1, 2))
    factors = to_structure_factors(moved, voxel)
    volume = Volume(values=factors.abs() ** 2, spacing=reciprocal(size, voxel), kind="intensity")
    room = autocorrelation_support(volume, (2 * volume.spacing, 30 * volume.spacing))
    assert rod[room].sum() > 0.99 * rod.sum()
    assert room.sum() < 0.5 * ball(size, voxel, 120.0).sum()
    finer = on_grid(room, 80)
    assert finer.float().mean() == pytest.approx(float(room.float().mean()), rel=0.1)
    assert finer[0, 0, 0]
    assert not finer[40, 40, 40]


def test_a_support_is_cut_in_half_through_its_middle_wherever_it_lies():
    support = torch.zeros(16, 16, 16, dtype=torch.bool)
    support[4:12, 4:12, 4:12] = True
    support = support.roll((9, 0, 3), (0, 1, 2))  # across the cube's faces
    half = half_of(support, torch.tensor([1.0, 0.0, 0.0]))
    assert half.sum() == support.sum() // 2
    other = half_of(support, torch.tensor([-1.0, 0.0, 0.0]))
    assert torch.equal(half | other, support)


def test_diameter_is_estimated_with_and_without_the_centre():
    solid = (radius(65, 4.0) < 40.0).float()
    lumpy = solid * (0.5 + torch.rand(solid.shape, generator=torch.Generator().manual_seed(1)))
    factors = to_structure_factors(lumpy, 4.0)
    volume = Volume(values=factors.abs() ** 2, spacing=reciprocal(65, 4.0), kind="intensity")
    for s_min in (0.0, 5 * volume.spacing):
        found = estimate_diameter(volume, (s_min, 30 * volume.spacing))
        assert 0.9 * 80.0 < found < 1.5 * 80.0


def test_first_crossing_of_a_density_moved_by_part_of_a_voxel_is_the_edge():
    moved = shift_structure_factors(_factors(), torch.tensor([1.7, -3.1, 0.4]), SPACING)
    placed = align_density(moved, _factors(), SPACING).structure_factors
    curve = fsc(placed, _factors())
    assert first_crossing(curve, shell_s(GRID, SPACING), 0.5, "fsc_truth_0.5").reached_edge


def test_what_cannot_be_phased_is_refused():
    intensity = _intensity()
    density = Volume(values=_phantom(), spacing=VOXEL, kind="density")
    with pytest.raises(ConfigError, match="starts from an intensity"):
        phase(density, SMALL)
    with pytest.raises(SamplingError, match=r"spacing below 1/\(2D\)"):
        phase(intensity, PhasingConfig(diameter_angstrom=100.0))
    with pytest.raises(SamplingError, match="fewer than 5 shells"):
        phase(intensity, PhasingConfig(s_max_per_angstrom=3 * SPACING))
    dark = Volume(values=torch.zeros(GRID, GRID, GRID), spacing=SPACING, kind="intensity")
    with pytest.raises(FormatError, match="none above zero"):
        phase(dark, SMALL)
    with pytest.raises(DeviceError, match="tpu9"):
        phase(intensity, PhasingConfig(device="tpu9"))
    with pytest.raises(SamplingError, match="one weight per voxel"):
        phase(intensity, SMALL, weight=torch.ones(3, 3, 3))
    with pytest.raises(FormatError, match=r"0 \(masked\) to 1"):
        phase(intensity, SMALL, weight=torch.full((GRID,) * 3, 2.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"diameter_angstrom": -1.0},
        {"s_min_per_angstrom": 0.1, "s_max_per_angstrom": 0.05},
        {"refined": 1},
        {"starts": 2, "refined": 3},
        {"threshold": 1.5},
        {"start_support": "cube"},
        {"volume_angstrom3": 0.0},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"{list(wrong)[-1][:6]}|starts"):
        PhasingConfig(**wrong)


def test_unset_settings_are_taken_from_the_attributes_of_the_volume():
    config = PhasingConfig(s_min_per_angstrom=0.01)
    full = config.completed({"particle_diameter_angstrom": 90.0, "s_min_per_angstrom": 0.02})
    assert full.diameter_angstrom == 90.0
    assert full.s_min_per_angstrom == 0.01
    assert full.s_max_per_angstrom is None
