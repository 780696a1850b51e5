"""Measured patterns of a virus go from the detector's file to an icosahedral intensity."""

import h5py
import numpy as np
import pytest
import torch

from baselines.classify import ClassifyConfig, classify
from baselines.classify.selection import read_selection, select, write_selected
from benchmarks.studies.virus_twin import shape
from benchmarks.studies.virus_twin.compare import angular
from xrai.config import (
    EncoderConfig,
    RefineConfig,
    RoundsConfig,
    SearchConfig,
    StartConfig,
    TrainConfig,
)
from xrai.infer import find_poses
from xrai.train import reconstruct
from xraisim.core.symmetry import point_group, symmetrize
from xraisim.files.volumes import read_volume
from xraisim.formats.convert import convert
from xraisim.formats.experiment import ExperimentConfig

CONFIG = TrainConfig(
    symmetry="I",
    start=StartConfig(reach=3.0, rotations=600, batch=16, steps=40, growth=1.16, restarts=1),
    search=SearchConfig(reach=3.0, rotations=1500, hypotheses=2, wide_rotations=4000),
    refine=RefineConfig(oversampling=4.0),
    rounds=RoundsConfig(ratio=1.5, final=1, global_searches=1),
    encoder=EncoderConfig(reach=3.0, heads=2, channels=4, steps=4, batch=8),
)


def test_measured_patterns_are_selected_encoded_and_reconstructed(measured, tmp_path):
    told = ExperimentConfig(
        particle_diameter_angstrom=700.0,
        beam={"photon_energy_ev": 12398.419843320026 / 7.75, "polarisation": "unpolarised"},
        detector={"distance_mm": 586.0, "pixel_size_mm": 0.6},
    )
    patterns, single, run = (tmp_path / name for name in ("patterns.h5", "single.h5", "run"))
    convert(measured, patterns, config=told)
    classify(patterns, tmp_path / "classes", ClassifyConfig(classes=4, restarts=1, reach=5.0))
    select(tmp_path / "classes", "auto", tmp_path / "selection.h5", 3.0)
    chosen = read_selection(tmp_path / "selection.h5", patterns).numpy()
    with h5py.File(measured) as file:
        labels = file["labels"][()] == 1
    assert chosen[labels].mean() > 0.5
    write_selected(tmp_path / "selection.h5", single)
    reconstruct(single, run, CONFIG, quiet=True)
    with h5py.File(run / "poses.h5") as file:
        found, encoded = file["orientations"][()], file["encoder_orientations"][()]
    assert found.shape == encoded.shape == (chosen.sum(), 4)
    for quaternions in (found, encoded):
        assert np.allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-4)
    intensity = read_volume(run / "intensity.h5")
    again = symmetrize(intensity.values, point_group("I"))
    one, other = angular(intensity.values).flatten(), angular(again).flatten()
    assert float(torch.corrcoef(torch.stack([one, other]))[0, 1]) > 0.9
    # A sphere fitted to the mean of the single hits has 60.0 nm.
    diameter = shape.volume_diameter_angstrom(intensity, 600.0, 0.0007)
    assert diameter == pytest.approx(600, rel=0.1)
    find_poses(run, single, tmp_path / "encoded.h5", encoder_only=True)
    with h5py.File(tmp_path / "encoded.h5") as file:
        assert torch.isfinite(torch.from_numpy(file["probability"][()])).all()
