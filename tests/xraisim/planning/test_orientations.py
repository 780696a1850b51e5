"""What a pattern tells of its orientation, and what that makes of the patterns needed."""

import json
import math

import numpy as np
import pytest
from scipy.integrate import quad

from xraisim.core import so3
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry
from xraisim.planning import formulas
from xraisim.planning.plan import assess
from xraisim.planning.table import cautions, mapping, summary

BEAM = Beam()
DETECTOR = geometry(Detector(), BEAM)


def planned(electrons, atoms, diameter, background=0.0):
    """A plan for a compact body of so many electrons, made of atoms of some 7 electrons."""

    def intensity(s):
        return electrons**2 / (1 + (1.4 * diameter * s) ** 4) + 45 * atoms

    return assess(
        DETECTOR,
        np.full(len(DETECTOR.mask), background),
        intensity,
        structure="test",
        instrument="test",
        diameter_angstrom=diameter,
        wavelength_angstrom=BEAM.wavelength_angstrom,
        fluence_photons_per_um2=BEAM.fluence_photons_per_um2,
    )


@pytest.fixture(scope="module")
def lysozyme():
    return planned(6667, 1000, 49.0)


@pytest.fixture(scope="module")
def ribosome():
    return planned(1.04e6, 148_000, 294.0)


def rows(plan):
    return [text for name, text in summary(plan) if "at known orientations" in name]


def test_lysozymes_patterns_cannot_be_oriented(lysozyme):
    assert len(rows(lysozyme)) == 4
    for text in rows(lysozyme):
        assert "cannot be oriented" in text
    assert "no single pattern can be oriented" in " ".join(cautions(lysozyme))
    assert lysozyme.oriented_resolution_angstrom is None
    found = json.loads(json.dumps(mapping(lysozyme), allow_nan=False))
    assert {shell["unknown_orientations_factor"] for shell in found["shells"]} == {None}


def test_a_ribosomes_patterns_can(ribosome):
    for text in rows(ribosome):
        assert "if unknown × 1.0" in text
    assert "oriented" not in " ".join(cautions(ribosome))
    assert ribosome.oriented_resolution_angstrom == ribosome.corner_resolution_angstrom
    for shell in ribosome.shells:
        assert 1 < shell.unknown_orientations_factor < 1.1


def test_the_nats_are_those_of_the_photons_beyond_the_centre(lysozyme):
    outer = lysozyme.shells[-1]
    expected = lysozyme.photons_beyond_centre * formulas.NATS_PER_PHOTON
    assert outer.orientation_nats == pytest.approx(expected)
    assert outer.orientations == so3.grid_size(
        outer.resolution_angstrom / lysozyme.diameter_angstrom
    )
    told = [shell.orientation_nats for shell in lysozyme.shells]
    assert told == sorted(told)
    short = lysozyme.photons_beyond_centre < lysozyme.orientation_photons
    assert short == math.isinf(outer.unknown_orientations_factor)


def test_background_takes_the_orientations_away():
    clean, hazy, white = (
        planned(23_000, 3400, 83.0, background=b).shells[-1] for b in (0.0, 0.003, 0.3)
    )
    assert clean.orientation_nats > hazy.orientation_nats > white.orientation_nats
    assert 1 < clean.unknown_orientations_factor < hazy.unknown_orientations_factor
    assert white.unknown_orientations_factor == math.inf


def test_what_suffices_is_found_from_the_inside(ribosome):
    assert ribosome.last_shell_with(0) is None
    assert ribosome.last_shell_with(math.inf) is ribosome.shells[-1]
    needed = ribosome.shells[2].patterns
    assert ribosome.last_shell_with(needed).patterns <= needed


@pytest.mark.parametrize("ratio", [0.0, 1e-3, 0.1, 1.0, 30.0, 450.0, 550.0, 1e5])
def test_nats_per_photon_are_the_mean_over_exponential_intensities(ratio):
    def integrand(x):
        rate = x + ratio  # less what integrates to nothing, which would swamp the rest
        return (rate * math.log(rate / (1 + ratio)) - (x - 1)) * math.exp(-x) if rate else 0.0

    expected = quad(integrand, 0, 60, epsabs=1e-14, limit=200)[0]
    assert float(formulas.nats_per_photon(ratio)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("ratio", [0.0, 2.0])
@pytest.mark.parametrize("photons", [2.0, 8.0, 60.0])
def test_no_pattern_tells_more_of_its_orientation(photons, ratio):
    """The information between counts and one of 200 views, from posteriors over drawn patterns."""
    rng = np.random.default_rng(9)
    views, pixels, draws = 200, 400, 1500
    signal = rng.exponential(size=(views, pixels)) * photons / pixels
    rate = signal + ratio * photons / pixels
    true = rng.integers(views, size=draws)
    counts = rng.poisson(rate[true])
    log = counts @ np.log(rate).T - rate.sum(1)
    log -= np.logaddexp.reduce(log, axis=1, keepdims=True)
    told = math.log(views) + (np.exp(log) * log).sum(1).mean()
    bound = photons * float(formulas.nats_per_photon(ratio))
    assert told < 1.03 * min(bound, math.log(views))
    if bound < 1:
        assert told > 0.6 * bound
    if bound > 4 * math.log(views):
        assert told > 0.95 * math.log(views)


def test_the_factor_in_closed_form():
    factor = formulas.factor_for_unknown_orientations
    assert factor(2 * math.log(1000), 1000) == pytest.approx(2)
    assert factor(100 * math.log(1000), 1000) == pytest.approx(100 / 99)
    assert factor(math.log(1000), 1000) == factor(0.0, 1000) == math.inf
    assert factor(1.0, 1) == 1
