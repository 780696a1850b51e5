"""What a perfect run would have found."""

from pathlib import Path

import pytest

from xraisim.report.patterns import Predictor


@pytest.fixture
def predictor(lumps) -> Predictor:
    """The truth as a run's result."""
    return Predictor(
        run=Path("run"),
        volumes={0: lumps.volume},
        s_max_per_angstrom=1.001 * lumps.s_max_per_angstrom,
        orientations=lumps.poses.numpy().copy(),
        fluence=lumps.fluence.numpy(),
    )
