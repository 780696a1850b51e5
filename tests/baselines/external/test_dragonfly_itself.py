"""Dragonfly itself, started from the true intensity: its units and orientations are ours."""

import re
import warnings

import h5py
import numpy as np
import pytest
import torch

from baselines.external.dragonfly import DragonflyConfig, why_not_installed
from baselines.external.dragonfly.program import find_program, run
from baselines.external.dragonfly.read import read_iteration
from baselines.external.dragonfly.write import write_input
from xraisim.core import rotations, so3
from xraisim.core.fourier import coordinates
from xraisim.files.truth import read_truth, truth_path
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector
from xraisim.sample.structure import read_atoms
from xraisim.scattering.structure_factor import structure_factor_grid
from xraisim.simulation import make
from xraisim.simulation.config import SimulationConfig

D_MIN_ANGSTROM = 20.0
CONFIG = DragonflyConfig(num_div=3, d_min_angstrom=D_MIN_ANGSTROM, beta_factor=20.0, iterations=2)


@pytest.fixture(scope="module")
def installed():
    """Skip, loudly, where there is no Dragonfly."""
    reason = why_not_installed()
    if reason:
        reason = f"NOT RUN: {reason}"
        warnings.filterwarnings("always", message="NOT RUN: ")
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    return find_program()


def test_from_the_truth_it_finds_the_true_orientations(installed, tmp_path):
    rng = np.random.default_rng(3)
    structure = tmp_path / "cloud.pdb"
    lines = [
        f"ATOM  {i:5d}  C   GLY A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           C\n"
        for i, (x, y, z) in enumerate(rng.normal(size=(40, 3)) * (14, 11, 8), 1)
    ]
    structure.write_text("".join(lines) + "END\n")
    config = SimulationConfig(
        structure=str(structure),
        patterns=600,
        seed=3,
        beam=Beam(photons_per_pulse=4e17),
        detector=Detector(
            rows=25, columns=25, pixel_size_mm=3.0, distance_mm=200, s_min_per_angstrom=0.004
        ),
    )
    make.simulate(config, tmp_path / "patterns.h5")
    folder = tmp_path / "run"
    (folder / "data").mkdir(parents=True)
    given = write_input(tmp_path / "patterns.h5", folder, CONFIG)
    F = structure_factor_grid(read_atoms(structure), given.grid, given.spacing, 4600.0)
    truth = torch.from_numpy(np.abs(F) ** 2)
    with h5py.File(folder / "start.h5", "w") as file:
        file["intens"] = truth[None].double().numpy() / given.electrons2
    finished = run(
        installed, folder, 2, threads=1, time_limit_s=120, on_iteration=lambda line: None
    )
    assert finished
    # photons measured over photons expected of the truth in our units
    measured = re.search(r"rescale.*\(= (\S+)\)", (folder / "console.log").read_text())
    assert float(measured[1]) == pytest.approx(1.0, abs=0.03)
    known, found = (
        read_truth(truth_path(tmp_path / "patterns.h5")),
        read_iteration(folder, 2, given),
    )
    true, orientations = (
        torch.from_numpy(values) for values in (known.orientations, found.orientations)
    )
    error = rotations.angle_between(orientations, true)
    mate = rotations.angle_between(orientations, so3.in_plane_mate(true))
    spacing = so3.spacing(CONFIG.rotations)
    assert torch.minimum(error, mate).median() < 0.8 * spacing
    assert np.corrcoef(found.fluence, known.fluence)[0, 1] > 0.85
    radius = coordinates(given.grid, given.spacing).norm(dim=-1)
    near = (radius > 0.008) & (radius < 0.8 / D_MIN_ANGSTROM)
    # a little low, as rotations that hardly any pattern has are merged as empty ones
    scale = float(found.volume.values[near].sum() / truth[near].sum())
    assert scale == pytest.approx(0.9, abs=0.12)
