"""Patterns of a small particle among blanks, pairs of it and spheres."""

from pathlib import Path

import numpy as np
import pytest

from baselines.classify import ClassifyConfig, classify
from xraisim.instrument.background import Background
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector
from xraisim.photons.hits import Hits
from xraisim.simulation import make
from xraisim.simulation.config import SimulationConfig


@pytest.fixture(scope="session")
def settings() -> ClassifyConfig:
    """A classification that takes seconds."""
    return ClassifyConfig(classes=6, reach=3.0, restarts=1, iterations=12)


@pytest.fixture(scope="session")
def mixture(tmp_path_factory) -> Path:
    """400 patterns of some 1,500 photons, of a cloud of forty atoms three times as long as wide."""
    path = tmp_path_factory.mktemp("classify") / "patterns.h5"
    rng = np.random.default_rng(3)
    structure = path.parent / "cloud.pdb"
    lines = [
        f"ATOM  {i:5d}  C   GLY A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           C\n"
        for i, (x, y, z) in enumerate(rng.normal(size=(40, 3)) * (14, 6, 5), 1)
    ]
    structure.write_text("".join(lines) + "END\n")
    make.simulate(
        SimulationConfig(
            structure=str(structure),
            patterns=400,
            seed=3,
            background=Background(photons_per_pixel=0.05),
            beam=Beam(photons_per_pulse=4e18),
            detector=Detector(
                rows=41, columns=41, pixel_size_mm=2.0, distance_mm=200, s_min_per_angstrom=0.004
            ),
            hits=Hits(
                blank_fraction=0.2, multiple_fraction=0.0, contaminant_fraction=0.2,
                contaminant_radius_angstrom=25.0, contaminant_radius_spread=0.05,
                contaminant_electrons_per_angstrom3=0.006,
            ),
        ),
        path,
    )  # fmt: skip
    return path


@pytest.fixture(scope="session")
def classified(mixture, settings, tmp_path_factory):
    """A finished run: its directory and its summary."""
    directory = tmp_path_factory.mktemp("run") / "classes"
    return directory, classify(mixture, directory, settings)
