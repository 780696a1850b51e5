import dataclasses

import numpy as np
import pytest
from scipy import stats

from xraisim.core.errors import ConfigError
from xraisim.instrument.beam import Beam, FluenceSpread
from xraisim.instrument.spectrum import draw_spectrum
from xraisim.photons.hits import BLANK, CONTAMINANT, MULTIPLE, SINGLE, Hits
from xraisim.photons.shots import (
    Particles,
    ShotRecipe,
    Shots,
    draw_orientations,
    draw_particles,
    draw_shots,
)

MANY = 20_000
INDICES = np.arange(MANY)
CONSTANT = FluenceSpread(distribution="constant")
N, LINES = 1000, 5
EVERYTHING = ShotRecipe(
    beam=Beam(
        focus="gaussian",
        position_jitter_um=0.2,
        pulse_energy_jitter=0.2,
        energy_jitter=0.002,
        bandwidth=0.003,
        spectral_lines=LINES,
    ),
    hits=Hits(blank_fraction=0.2, multiple_fraction=0.3, contaminant_fraction=0.1),
    strength=FluenceSpread(distribution="gamma"),
    species_weights=(1.0, 2.0),
)
SIZES = dataclasses.replace(EVERYTHING, size_spreads=(0.0, 0.1))
TOP_HAT = dataclasses.replace(EVERYTHING, beam=Beam(position_jitter_um=0.4))


def test_the_streams_of_the_first_data_sets_are_kept():
    """Values of version 0.1.0: other ones would change every simulated set."""
    particles, hit = draw_particles(ShotRecipe(), 7, np.array([0, 4_999_999]))
    assert particles.fluence == pytest.approx([1.1247778, 0.9250571], rel=1e-6)
    assert particles.orientation == pytest.approx(
        np.array(
            [
                [0.22627445, 0.66955215, -0.7042118, -0.06771652],
                [0.48204714, -0.20794399, 0.51828784, -0.6751056],
            ]
        ),
        abs=1e-6,
    )
    assert (hit == SINGLE).all()


def test_orientations_are_uniform():
    """Each component of a uniform quaternion q has q² ~ Beta(½, 3/2)."""
    quaternion = draw_orientations(0, INDICES)
    for component in quaternion.T:
        assert stats.kstest(component**2, stats.beta(0.5, 1.5).cdf).pvalue > 1e-3
    assert np.abs(quaternion[:, 1:].mean(0)).max() < 4 * 0.5 / np.sqrt(MANY)  # w ≥ 0


def test_particles_of_one_shot_are_independent():
    """The rotation between two is uniform: its angle has the density (1 − cos ω)/π."""
    recipe = ShotRecipe(
        beam=Beam(focus="gaussian", position_jitter_um=0.3),
        hits=Hits(multiple_fraction=0.5),
        species_weights=(1.0, 3.0),
    )
    particles, hit = draw_particles(recipe, 0, INDICES)
    first = particles.offsets[:-1][hit == MULTIPLE]
    one, other = particles.orientation[first], particles.orientation[first + 1]
    angle = 2 * np.arccos(np.clip(np.abs((one * other).sum(1)), 0, 1))
    assert stats.kstest(angle, lambda w: (w - np.sin(w)) / np.pi).pvalue > 1e-3
    fluence = particles.fluence
    assert stats.spearmanr(fluence[first], fluence[first + 1]).pvalue > 1e-3
    kinds = np.histogram2d(particles.model[first], particles.model[first + 1], bins=2)[0]
    expected = len(first) * np.array([[1, 3], [3, 9]]) / 16
    assert stats.chisquare(kinds.ravel(), expected.ravel()).pvalue > 1e-3


def test_the_pulse_energy_is_shared_by_the_particles_of_a_shot():
    recipe = ShotRecipe(
        beam=Beam(pulse_energy_jitter=0.3), fluence=CONSTANT, hits=Hits(multiple_fraction=0.5)
    )
    particles, hit = draw_particles(recipe, 0, INDICES[:1000])
    first = particles.offsets[:-1][hit == MULTIPLE]
    assert (particles.fluence[first] == particles.fluence[first + 1]).all()
    assert particles.fluence.std() > 0.2


@pytest.mark.parametrize("focus", ["top-hat", "gaussian"])
def test_the_fluence_is_one_on_average_over_what_is_hit(focus):
    recipe = ShotRecipe(
        beam=Beam(focus=focus, position_jitter_um=0.3, pulse_energy_jitter=0.2),
        hits=Hits(blank_fraction=0.2, multiple_fraction=0.2, contaminant_fraction=0.1),
    )
    fluence = draw_particles(recipe, 0, INDICES)[0].fluence.astype(float)
    assert fluence.mean() == pytest.approx(1, abs=4 * fluence.std() / np.sqrt(len(fluence)))


def test_particles_outside_the_top_hat_are_left_out():
    """Thinning a Poisson number by the hit fraction p: P(0) and P(1) of the mean µp, given ≥ 1."""
    beam = Beam(focus_radius_um=0.4, position_jitter_um=0.3)
    hits = Hits(multiple_fraction=0.6)
    particles, hit = draw_particles(ShotRecipe(beam=beam, hits=hits), 0, INDICES)
    mu, p = hits.mean_particles, beam.hit_fraction
    some = -np.expm1(-mu)
    blank = (np.exp(-mu * p) - np.exp(-mu)) / some
    single = mu * p * np.exp(-mu * p) / some
    expected = MANY * np.array([blank, single, 1 - blank - single])
    assert stats.chisquare(np.bincount(hit, minlength=3), expected).pvalue > 1e-3
    number = np.diff(particles.offsets)
    assert (number[hit == BLANK] == 0).all()
    assert (number[hit == SINGLE] == 1).all()
    assert (number[hit == MULTIPLE] > 1).all()
    assert (particles.fluence > 0).all()


def test_contaminants_are_spheres_of_the_last_volume():
    """The intensity of a sphere of radius r from that of r₀: (r/r₀)⁶ at s·r/r₀."""

    def sphere(radius: float, s: np.ndarray) -> np.ndarray:
        x = 2 * np.pi * s * radius
        amplitude = 4 * np.pi * radius**3 * (np.sin(x) - x * np.cos(x)) / x**3
        return amplitude**2

    recipe = ShotRecipe(
        hits=Hits(contaminant_fraction=0.5), species_weights=(1.0, 1.0), fluence=CONSTANT
    )
    particles, hit = draw_particles(recipe, 0, INDICES[:2000])
    foreign = hit[particles.shot] == CONTAMINANT
    assert (particles.model[foreign] == recipe.contaminant_model).all()
    assert (particles.model[~foreign] < recipe.contaminant_model).all()
    assert (particles.size[~foreign] == 1).all()
    size, weight = (x[foreign][:5].astype(float) for x in (particles.size, particles.weight))
    assert size.std() > 0.05
    s = np.linspace(0.001, 0.01, 50)
    for x, w in zip(size, weight, strict=True):
        assert np.allclose(w * sphere(100.0, x * s), sphere(100.0 * x, s), rtol=1e-4)


def test_species_come_in_proportion_to_their_weights():
    recipe = ShotRecipe(species_weights=(2.0, 0.0, 1.0, 5.0))
    found = np.bincount(draw_particles(recipe, 0, INDICES)[0].model, minlength=4)
    assert found[1] == 0
    assert stats.chisquare(found[[0, 2, 3]], MANY * np.array([2, 1, 5]) / 8).pvalue > 1e-3


@pytest.mark.parametrize("weights", [(), (0.0,), (1.0, -1.0), (float("nan"),)])
def test_impossible_species_weights_are_refused(weights):
    with pytest.raises(ConfigError, match="expected numbers from 0 up"):
        ShotRecipe(species_weights=weights)


def fields(block: Shots | Particles) -> dict[str, np.ndarray]:
    return {f.name: getattr(block, f.name) for f in dataclasses.fields(block)}


def test_a_shot_is_one_particle_at_one_energy_by_default():
    shots, indices = draw_shots(ShotRecipe(), 3, 50, 20), np.arange(50, 70)
    assert shots.offsets.tolist() == list(range(21))
    assert (shots.orientation == draw_orientations(3, indices)).all()
    assert (shots.weight == FluenceSpread().draw(3, indices)).all()
    assert (shots.fluence == shots.weight).all()
    for name, value in {
        "particle": 0, "model": 0, "scale": 1, "strength": 1, "energy": 1, "hit": SINGLE
    }.items():  # fmt: skip
        assert (getattr(shots, name) == value).all(), name


def test_arrays_have_the_types_that_are_promised():
    types = {
        name: values.dtype.name for name, values in fields(draw_shots(EVERYTHING, 0, 0, 9)).items()
    }
    integers = {"offsets": "int64", "particle": "int32", "model": "int32", "hit": "uint8"}
    assert types == {name: integers.get(name, "float32") for name in types}


@pytest.mark.parametrize("recipe", [ShotRecipe(), EVERYTHING, TOP_HAT, SIZES])
def test_a_shot_depends_on_seed_and_number_alone(recipe):
    """Any pieces of a block are the block."""
    whole = draw_shots(recipe, 5, 40, N)
    for start, stop in ((0, 1), (1, 18), (18, 600), (600, N)):
        piece, part = draw_shots(recipe, 5, 40 + start, stop - start), whole.part(start, stop)
        for name, values in fields(part).items():
            assert (fields(piece)[name] == values).all(), name
    other = draw_shots(recipe, 6, 40, N)
    assert (other.fluence != whole.fluence).mean() > 0.5


@pytest.mark.parametrize("recipe", [ShotRecipe(), EVERYTHING, TOP_HAT, SIZES])
def test_the_particles_are_found_behind_the_exposures(recipe):
    drawn, _ = draw_particles(recipe, 1, np.arange(N))
    found = draw_shots(recipe, 1, 0, N).particles()
    for name in ("offsets", "model", "orientation"):
        assert (fields(found)[name] == fields(drawn)[name]).all(), name
    assert np.allclose(found.size, drawn.size, rtol=1e-6)
    assert np.allclose(found.fluence, drawn.fluence, rtol=1e-5)


def test_exposures_are_sorted_by_particle_and_then_by_line():
    shots = draw_shots(EVERYTHING, 2, 0, N)
    energy, lines, share = draw_spectrum(EVERYTHING.beam, 2, np.arange(N))
    for i in range(200):
        row = slice(shots.offsets[i], shots.offsets[i + 1])
        number = {BLANK: 0, SINGLE: 1, CONTAMINANT: 1}.get(shots.hit[i])
        found = (row.stop - row.start) // LINES
        assert found >= 2 if number is None else found == number
        assert shots.particle[row].tolist() == np.repeat(np.arange(found), LINES).tolist()
        if shots.hit[i] in (SINGLE, MULTIPLE):
            assert shots.scale[row] == pytest.approx(np.tile(lines[i], found), rel=1e-6)
        if shots.hit[i] == SINGLE:
            assert shots.weight[row] == pytest.approx(shots.fluence[i] * share[i], rel=1e-5)
    assert set(shots.hit[:200]) == {BLANK, SINGLE, MULTIPLE, CONTAMINANT}
    assert shots.energy == pytest.approx(energy, rel=1e-6)


def test_the_fluence_of_a_shot_is_that_of_its_particles():
    shots = draw_shots(EVERYTHING, 0, 0, N)
    particles = shots.particles()
    total = np.bincount(particles.shot, particles.fluence, minlength=N)
    assert shots.fluence == pytest.approx(total, rel=1e-5)
    assert (shots.fluence[shots.hit == BLANK] == 0).all()


@pytest.mark.parametrize("recipe", [EVERYTHING, SIZES])
def test_scales_stay_within_what_the_volumes_are_made_for(recipe):
    shots = draw_shots(recipe, 0, 0, 20_000)
    for model in range(3):
        scale, largest = shots.scale[shots.model == model], recipe.largest_scale(model)
        assert 0.95 * largest < scale.max() <= largest * (1 + 1e-7)
    assert ShotRecipe().largest_scale(0) == 1


def test_sizes_are_lognormal_of_each_species_and_leave_all_else_as_it_was():
    found, _ = draw_particles(SIZES, 0, INDICES)
    alike, _ = draw_particles(EVERYTHING, 0, INDICES)
    body = found.model == 1
    assert (found.size[~body] == alike.size[~body]).all()
    log = np.log(found.size[body].astype(float)) / 0.1
    assert stats.kstest(log, stats.truncnorm(-3, 3).cdf).pvalue > 1e-3
    for name in ("offsets", "model", "orientation", "fluence"):
        assert (fields(found)[name] == fields(alike)[name]).all(), name
    # Those of one shot are drawn apart.
    first, second = ((found.rank == rank) & body for rank in (0, 1))
    shots = np.intersect1d(found.shot[first], found.shot[second])
    pair = [found.size[one][np.searchsorted(found.shot[one], shots)] for one in (first, second)]
    assert abs(np.corrcoef(*pair)[0, 1]) < 4 / np.sqrt(len(shots))


def test_a_spread_is_stated_for_each_species():
    with pytest.raises(ConfigError, match="2 species have 1 spreads of size; expected one for"):
        ShotRecipe(species_weights=(1.0, 2.0), size_spreads=(0.1,))


def test_the_strength_of_the_background_is_one_on_average():
    strength = draw_shots(EVERYTHING, 0, 0, 20_000).strength
    assert strength.mean() == pytest.approx(1, abs=4 * np.sqrt(0.5 / 20_000))
    assert strength.std() == pytest.approx(np.sqrt(0.5), rel=0.05)


def test_blocks_without_shots_or_exposures_are_whole():
    blank = draw_shots(ShotRecipe(hits=Hits(blank_fraction=1.0)), 0, 0, 3)
    assert blank.offsets.tolist() == [0] * 4
    assert blank.hit.tolist() == [BLANK] * 3
    assert blank.particles().offsets.tolist() == [0] * 4
    assert len(draw_shots(EVERYTHING, 0, 0, 0)) == 0
