"""How far away a detector has to be for a particle's speckles."""

import dataclasses
import math

from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry

_STEP_MM = 10.0  # distances are round numbers


def far_enough(detector: Detector, beam: Beam, diameter_angstrom: float) -> Detector:
    """Return the detector, moved back until its pixels resolve speckles of 1/(2D).

    One that does so already stays where it is.
    """
    while (ratio := 2 * diameter_angstrom * geometry(detector, beam).s_step) > 1:
        away = math.ceil(ratio * detector.distance_mm / _STEP_MM) * _STEP_MM
        detector = dataclasses.replace(detector, distance_mm=away)
    return detector
