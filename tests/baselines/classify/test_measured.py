"""Measured patterns are classified without errors, where they are at hand."""

import h5py
import numpy as np

from baselines.classify import ClassifyConfig, classify
from xraisim.formats.convert import convert
from xraisim.formats.experiment import ExperimentConfig


def test_measured_patterns_pass_through(measured, tmp_path):
    told = ExperimentConfig(
        particle_diameter_angstrom=600.0,
        beam={"photon_energy_ev": 12398.419843320026 / 7.75, "polarisation": "unpolarised"},
        detector={"distance_mm": 586.0, "pixel_size_mm": 0.6},
    )
    convert(measured, tmp_path / "patterns.h5", config=told)
    config = ClassifyConfig(classes=4, restarts=1, iterations=8, reach=6.0)
    summary = classify(tmp_path / "patterns.h5", tmp_path / "run", config)
    assert sum(row.patterns for row in summary.figures["classes"]) == 50
    assert summary.figures["blank"] == 0  # the dimmest has 7,573 photons
    with h5py.File(tmp_path / "run" / "averages.h5") as file:
        assert np.isfinite(file["averages"][()]).any()
