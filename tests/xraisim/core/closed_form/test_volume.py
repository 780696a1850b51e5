"""The closed-form volume: nearer to the truth than a division, and true where all is measured."""

import dataclasses

import pytest
import torch

from xrai.decoder import VolumeConfig
from xraisim.core.closed_form import for_look_up, volume_from_sums
from xraisim.core.errors import ConfigError, SamplingError
from xraisim.core.fourier import radius
from xraisim.core.fsc import intensity_correlation
from xraisim.core.merge import Accumulator
from xraisim.core.radial import smooth_radial_mean
from xraisim.core.random import generator
from xraisim.core.sampling import insert_slice_pairs, slice_volume
from xraisim.core.symmetry import point_group, symmetrize
from xraisim.core.types import Volume

CONFIG = VolumeConfig()


def blurred(sums: Accumulator) -> Accumulator:
    """Return sums as trilinear weights would have made them from points all over the grid."""
    grid = sums.photons.shape[0]
    middle, random = grid // 2, generator(0, "offsets")
    offset = torch.rand(8 * grid**3, 3, generator=random) * (grid - 2.2) - (middle - 1.1)
    offset = offset[offset.norm(dim=1) < middle - 1].contiguous()
    exact = sums.photons / sums.exposure.clamp_min(1e-12)
    value = slice_volume(exact, torch.eye(3)[None], offset, 1.0)
    ones = torch.ones_like(value)
    photons, exposure = insert_slice_pairs(value, ones, torch.eye(3)[None], offset, 1.0, grid)
    return Accumulator(photons=photons, exposure=exposure, spacing=sums.spacing)


def outer_correlation(found: Volume, truth: Volume) -> float:
    curve = intensity_correlation(found.values, truth.values)
    return float(curve[8:19].mean())


@pytest.mark.parametrize("spectrum", ["measured", "overlap", "ball"])
@pytest.mark.parametrize("photons", [0.3, 3.0])
def test_it_is_nearer_to_the_truth_than_the_merge(particle, spectrum, photons):
    sums = particle.sums(photons)
    config = dataclasses.replace(CONFIG, spectrum=spectrum)
    found = volume_from_sums(sums, particle.diameter_angstrom, config)
    merged = outer_correlation(sums.volume(0.02), particle.truth)
    gained = outer_correlation(found, particle.truth) - merged
    assert gained > 0.2 * (1 - merged)
    assert float(found.values.min()) > 0
    assert torch.allclose(found.values, found.values.flip(0, 1, 2), rtol=1e-3)


def test_the_measured_spectrum_beats_the_plain_limit(particle):
    sums = particle.sums(0.3)
    ball = dataclasses.replace(CONFIG, spectrum="ball")
    errors = [
        1 - outer_correlation(volume_from_sums(sums, particle.diameter_angstrom, c), particle.truth)
        for c in (CONFIG, ball)
    ]
    assert errors[0] < 0.8 * errors[1]


def test_many_photons_are_left_as_they_are(particle):
    """Far from the centre and the edge; what remains is the filter's own sharpening."""
    sums = particle.sums(1e6, gap=0.0)
    found = volume_from_sums(sums, particle.diameter_angstrom, CONFIG)
    distance = radius(found.grid, 1.0)
    shell = (distance > 6) & (distance < 16)
    blur = blurred(Accumulator(particle.truth.values, torch.ones_like(distance), found.spacing))
    sharp = volume_from_sums(
        Accumulator(1e4 * blur.photons, 1e4 * blur.exposure, found.spacing),
        particle.diameter_angstrom,
        CONFIG,
    )
    before = (blur.photons / blur.exposure.clamp_min(1e-9) - particle.truth.values)[shell].std()
    after = (sharp.values - particle.truth.values)[shell].std()
    assert float(after) < 0.75 * float(before)


def test_the_scale_of_the_exposure_does_not_matter(particle):
    sums = particle.sums(1.0)
    twice = Accumulator(sums.photons, 2 * sums.exposure, sums.spacing)
    one, other = (
        volume_from_sums(s, particle.diameter_angstrom, CONFIG).values for s in (sums, twice)
    )
    assert torch.allclose(one, 2 * other, rtol=1e-3)


def test_a_gap_is_filled_from_around_it(particle):
    """A missing wedge: the merge puts the radial mean there, which correlates with nothing."""
    sums = particle.sums(20.0)
    wedge = radius(41, 1.0) > 4
    axis = torch.arange(41) - 20
    wedge &= (axis[:, None, None].abs() <= 1) & torch.ones(41, 41, 41, dtype=torch.bool)
    sums.photons[wedge], sums.exposure[wedge] = 0.0, 0.0
    found = volume_from_sums(sums, particle.diameter_angstrom, CONFIG).values
    mean = smooth_radial_mean(particle.truth.values, torch.ones(41, 41, 41))
    inside = wedge & (radius(41, 1.0) < 18)
    pair = torch.stack([(found / mean)[inside], (particle.truth.values / mean)[inside]])
    assert float(torch.corrcoef(pair)[0, 1]) > 0.6


def test_a_point_group_is_averaged_over(particle):
    group = point_group("D2")
    values = symmetrize(particle.truth.values, group)
    sums = particle.sums(0.3)
    drawn = torch.poisson(sums.exposure * values, generator=generator(1, "photons"))
    sums = Accumulator(drawn, sums.exposure, sums.spacing)
    truth = Volume(values=values, spacing=sums.spacing, kind="intensity")
    plain, averaged = (
        volume_from_sums(sums, particle.diameter_angstrom, CONFIG, g) for g in (None, group)
    )
    assert torch.allclose(averaged.values, symmetrize(averaged.values, group), rtol=1e-2)
    assert outer_correlation(averaged, truth) > outer_correlation(plain, truth) + 0.01


def test_look_ups_come_nearer_to_the_intensity_between_voxels(particle):
    volume, random = particle.truth, generator(0, "points")
    points = torch.randn(4000, 3, generator=random)
    points = points / points.norm(dim=1, keepdim=True) * volume.spacing
    points = points * (5 + 11 * torch.rand(4000, 1, generator=random))
    fine = particle_at(points)
    errors = []
    for candidate in (volume, for_look_up(volume, particle.diameter_angstrom)):
        found = slice_volume(candidate.values, torch.eye(3)[None], points, candidate.spacing)[0]
        errors.append(float((found - fine).std()))
    assert errors[1] < 0.75 * errors[0]


def particle_at(points: torch.Tensor) -> torch.Tensor:
    """Return the intensity of the same atoms as the fixture's, at any points."""
    random = generator(0, "atoms")
    atoms = torch.randn(600, 3, generator=random)
    length = torch.rand(600, 1, generator=random) ** (1 / 3)
    atoms = 0.5 * 100.0 * length * atoms / atoms.norm(dim=1, keepdim=True)
    phase = 2 * torch.pi * (points.double() @ atoms.double().T)
    return (phase.cos().sum(1) ** 2 + phase.sin().sum(1) ** 2).float()


def test_sums_without_sense_are_refused(particle):
    sums = particle.sums(1.0)
    with pytest.raises(SamplingError, match="voxels per 1/D"):
        volume_from_sums(sums, 1.5 * particle.diameter_angstrom, CONFIG)
    empty = Accumulator.empty(41, sums.spacing)
    with pytest.raises(SamplingError, match="no photons"):
        volume_from_sums(empty, particle.diameter_angstrom, CONFIG)


@pytest.mark.parametrize("wrong", [{"spectrum": "flat"}, {"margin": -0.1}, {"steps": 0}])
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ConfigError):
        VolumeConfig(**wrong)
