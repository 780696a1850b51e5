"""Defective pixels: fractions, what the mask knows, and that none means none."""

import numpy as np
import pytest

from xraisim.core.errors import ConfigError, SamplingError
from xraisim.instrument.beam import Beam
from xraisim.instrument.defects import DEAD, GOOD, HOT, NOISY, Defects, respond
from xraisim.instrument.detector import Detector, MaskReason, geometry


@pytest.fixture(scope="module")
def seen():
    return geometry(Detector(beamstop_radius_mm=5), Beam())


def test_a_perfect_detector_answers_as_its_geometry_says(seen):
    response = respond(seen, Defects(), seed=3)
    np.testing.assert_array_equal(response.gain, seen.gain)
    np.testing.assert_array_equal(response.believed.reasons, seen.reasons)
    assert not response.extra_photons.any()
    assert not response.defect.any()


def test_fractions_are_met_within_their_statistics(seen):
    defects = Defects(dead_fraction=0.05, hot_fraction=0.02, noisy_fraction=0.1)
    defect = respond(seen, defects, seed=3).defect
    pixels = len(defect)
    for kind, fraction in ((DEAD, 0.05), (HOT, 0.02), (NOISY, 0.1), (GOOD, 0.83)):
        spread = np.sqrt(fraction * (1 - fraction) * pixels)
        assert abs((defect == kind).sum() - fraction * pixels) < 4 * spread


def test_dead_pixels_have_no_gain_and_hot_and_noisy_ones_add_photons(seen):
    defects = Defects(
        dead_pixels=(7,),
        hot_pixels=(8, 9),
        noisy_pixels=(100,),
        hot_photons_per_pixel=20,
        noisy_photons_per_pixel=0.5,
    )
    response = respond(seen, defects, seed=0)
    assert response.gain[7] == 0
    np.testing.assert_array_equal(np.delete(response.gain, 7), np.delete(seen.gain, 7))
    added = np.zeros(len(seen.gain))
    added[[8, 9, 100]] = 20, 20, 0.5
    np.testing.assert_array_equal(response.extra_photons, added)
    np.testing.assert_array_equal(np.flatnonzero(response.defect), [7, 8, 9, 100])
    masked = (response.believed.reasons & MaskReason.DEFECT) > 0
    np.testing.assert_array_equal(np.flatnonzero(masked), [7, 8, 9, 100])
    np.testing.assert_array_equal(response.believed.reasons[~masked], seen.reasons[~masked])
    np.testing.assert_array_equal(response.believed.gain, seen.gain)


@pytest.mark.parametrize("announced", [0.0, 0.7, 1.0])
def test_the_mask_knows_the_announced_fraction(seen, announced):
    defects = Defects(dead_fraction=0.2, hot_fraction=0.2, announced=announced)
    response = respond(seen, defects, seed=1)
    known = (response.believed.reasons & MaskReason.DEFECT) > 0
    assert not (known & (response.defect == GOOD)).any()
    defective = (response.defect != GOOD).sum()
    spread = np.sqrt(announced * (1 - announced) * defective)
    assert abs(known.sum() - announced * defective) <= 4 * spread


def test_a_pixel_is_defective_by_seed_and_index_alone(seen):
    defects = Defects(dead_fraction=0.1)
    np.testing.assert_array_equal(defects.draw(5, 3000)[:1000], defects.draw(5, 1000))
    np.testing.assert_array_equal(
        respond(seen, defects, 5).defect, respond(seen, defects, 5).defect
    )
    assert (defects.draw(5, 3000) != defects.draw(6, 3000)).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dead_fraction": 1.5}, "defects.dead_fraction is 1.5; expected 0 to 1"),
        ({"announced": -0.1}, "defects.announced is -0.1"),
        ({"dead_fraction": 0.7, "hot_fraction": 0.7}, "defects take 1.4 of all pixels"),
        ({"hot_photons_per_pixel": -1.0}, "hot_photons_per_pixel is -1"),
    ],
)
def test_impossible_defects_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Defects(**settings)


def test_a_pixel_that_is_not_there_is_refused(seen):
    with pytest.raises(ConfigError, match=r"hot_pixels runs from 3 to 16384; .* 0 … 16383"):
        respond(seen, Defects(hot_pixels=(3, 16384)), seed=0)


def test_a_detector_without_a_pixel_left_is_refused(seen):
    with pytest.raises(SamplingError, match="leave no usable pixel"):
        respond(seen, Defects(dead_fraction=1.0), seed=0)
