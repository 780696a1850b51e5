"""What a data set takes is told before it is made."""

import dataclasses
import shutil
from collections import namedtuple

import pytest

from xraisim.core.errors import DiskError
from xraisim.simulation.config import from_mapping
from xraisim.simulation.make import simulate

MIB = 2**20


@pytest.fixture
def config(small_particle):
    return from_mapping(
        {
            "structure": str(small_particle),
            "patterns": 6000,
            "beam": {"photons_per_pulse": 3e17},
            "detector": {"rows": 24, "columns": 24, "pixel_size_mm": 3.0},
        }
    )


def test_the_forecast_comes_true(config, tmp_path):
    told = []
    made = simulate(config, tmp_path / "a.h5", told=told.append)
    (ahead,) = told
    assert ahead.patterns == made.patterns
    assert ahead.photons_per_pattern == pytest.approx(made.photons_per_pattern, rel=0.2)
    photons = made.photons_per_pattern * made.patterns * made.bytes_per_photon
    assert ahead.file_bytes == pytest.approx(photons, rel=0.4)
    assert ahead.seconds > 0


def test_what_would_not_fit_is_refused_before_it_starts(config, tmp_path, monkeypatch):
    disk = namedtuple("disk", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: disk(99 * MIB, 59 * MIB, 40 * MIB))
    huge = dataclasses.replace(config, patterns=10**8)
    with pytest.raises(DiskError, match=r"would take about .* GB .* 0\.0 GB are free; make fewer"):
        simulate(huge, tmp_path / "a.h5")
    assert not list(tmp_path.glob("*.h5*"))
