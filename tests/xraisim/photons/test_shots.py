import dataclasses

import numpy as np
import pytest

from xraisim.instrument.beam import Beam, FluenceSpread
from xraisim.instrument.spectrum import draw_spectrum
from xraisim.photons.hits import Hits
from xraisim.photons.particles import draw_particles
from xraisim.photons.shots import (
    BLANK,
    CONTAMINANT,
    MULTIPLE,
    SINGLE,
    Particles,
    ShotRecipe,
    Shots,
    draw_orientations,
    draw_shots,
)

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
TOP_HAT = dataclasses.replace(EVERYTHING, beam=Beam(position_jitter_um=0.4))


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


@pytest.mark.parametrize("recipe", [ShotRecipe(), EVERYTHING, TOP_HAT])
def test_a_shot_depends_on_seed_and_number_alone(recipe):
    """Any pieces of a block are the block."""
    whole = draw_shots(recipe, 5, 40, N)
    for start, stop in ((0, 1), (1, 18), (18, 600), (600, N)):
        piece, part = draw_shots(recipe, 5, 40 + start, stop - start), whole.part(start, stop)
        for name, values in fields(part).items():
            assert (fields(piece)[name] == values).all(), name
    other = draw_shots(recipe, 6, 40, N)
    assert (other.fluence != whole.fluence).mean() > 0.5


@pytest.mark.parametrize("recipe", [ShotRecipe(), EVERYTHING, TOP_HAT])
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


def test_scales_stay_within_what_the_volumes_are_made_for():
    shots = draw_shots(EVERYTHING, 0, 0, 20_000)
    for model in range(3):
        scale, largest = shots.scale[shots.model == model], EVERYTHING.largest_scale(model)
        assert 0.95 * largest < scale.max() <= largest * (1 + 1e-7)
    assert ShotRecipe().largest_scale(0) == 1


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
