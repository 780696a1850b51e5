"""A detector is as far away as the speckles of the particle ask for."""

import pytest

from xraisim.instrument.detector import geometry
from xraisim.instrument.distance import far_enough
from xraisim.instrument.presets import PRESETS


@pytest.mark.parametrize("name", ["xrai2025", "lcls-pnccd"])
@pytest.mark.parametrize("diameter", [50.0, 403.4, 3000.0])
def test_far_enough_and_no_farther(name, diameter):
    beam, detector = PRESETS[name].beam, PRESETS[name].detector
    moved = far_enough(detector, beam, diameter)
    assert 2 * diameter * geometry(moved, beam).s_step <= 1
    if moved != detector:
        nearer = detector.distance_mm * 2 * diameter * geometry(detector, beam).s_step
        assert detector.distance_mm < moved.distance_mm <= nearer + 10.0
        assert moved.distance_mm % 10 == 0
    assert (moved == detector) == (2 * diameter * geometry(detector, beam).s_step <= 1)
