"""Synthetic records and results, so that tables, pages and scores are tested without a run."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.comparison import Reconstruction, TrueParticle
from benchmarks.record import Curve, Record, Value
from xraisim.core import rotations, so3
from xraisim.core.align import shift_structure_factors
from xraisim.core.fourier import reciprocal, to_density
from xraisim.core.machine import Hardware
from xraisim.core.random import generator
from xraisim.core.types import Volume
from xraisim.sample.structure import Atoms
from xraisim.scattering.structure_factor import structure_factor_grid

_S = (0.01, 0.03, 0.05)
GRID, SPACING, ENERGY = 45, 0.003, 4600.0
S_RANGE = (0.006, 0.06)
NOISE_DEG = 2.0


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """Return a maker of records; ``icc`` and ``fsc`` are in Å, None for not resolved."""

    def make(*, icc: float | None = 20.0, fsc: float | None = 25.0, **changes: Any) -> Record:
        values: dict[str, Any] = {
            "task": "quick",
            "method": "xrai",
            "seed": 0,
            "data_seed": 0,
            "date": "2026-01-01T00:00:00+00:00",
            "config_hash": "abc",
            "config": {"name": "quick", "summary": "A test of <tables>.", "xrai": {"heads": 8}},
            "versions": {"x-rai": "0.1.0", "torch": "2.13.0"},
            "hardware": Hardware(cpu="Test CPU", cores=2, memory_gib=8.0),
            "patterns": 8000,
            "photons_per_pattern": 5000.0,
            "seconds": {"simulate": 10.0, "reconstruct": 100.0, "phase": 20.0, "score": 5.0},
            "peak_gib": {"reconstruct": 1.5, "phase": 2.5, "score": 2.5},
            "patterns_per_s": 80.0,
            "metrics": {
                "icc_truth_0.5": Value(value=icc),
                "fsc_truth_0.5": Value(value=fsc),
                "pose_error_median_deg": Value(value=1.2),
                "pose_error_p90_deg": Value(value=5.0),
                "pose_error_median_modulo_mate_deg": Value(value=1.0),
                "pose_error_p90_modulo_mate_deg": Value(value=3.0),
            },
            "curves": (
                Curve(name="icc_truth", s_per_angstrom=_S, value=(0.9, 0.7, 0.3)),
                Curve(name="fsc_truth", s_per_angstrom=_S, value=(0.95, 0.6, 0.2)),
                Curve(name="prtf", s_per_angstrom=_S, value=(1.0, 0.8, 0.4)),
            ),
        }
        return Record(**(values | changes))

    return make


@pytest.fixture(scope="session")
def truth() -> TrueParticle:
    """A lopsided cloud of 300 carbons, about 100 Å across."""
    draw = np.random.default_rng(1)
    positions = draw.normal(size=(300, 3)) * [22.0, 12.0, 8.0]
    positions[:60] += [0.0, 25.0, 10.0]
    positions -= positions.mean(0)
    return TrueParticle(
        particle=Atoms(
            positions=positions,
            elements=np.full(300, 6),
            occupancy=np.ones(300),
            b_iso=np.full(300, 20.0),
        ),
        photon_energy_ev=ENERGY,
        orientations=so3.haar(500, generator(1, "truth")),
        s_range=S_RANGE,
    )


@pytest.fixture(scope="session")
def result(truth: TrueParticle) -> Reconstruction:
    """The truth turned by a known rotation; the density of the other hand, moved by 7 Å."""
    turn = so3.haar(1, generator(2, "turn"))[0]
    matrix = rotations.to_matrix(turn.double()).numpy()
    turned = dataclasses.replace(truth.particle, positions=truth.particle.positions @ matrix)
    F = torch.from_numpy(structure_factor_grid(turned, GRID, SPACING, ENERGY))
    moved = shift_structure_factors(F.conj(), torch.tensor([7.0, 0.0, -3.0]), SPACING)
    noise = generator(3, "noise")
    sigma = math.radians(NOISE_DEG)
    poses = so3.perturb(rotations.multiply(truth.orientations, turn[None]), 1, sigma, noise)[:, 0]
    mates = torch.arange(len(poses)) % 4 == 0
    poses[mates] = so3.in_plane_mate(poses[mates])
    return Reconstruction(
        intensity=Volume(values=F.abs() ** 2, spacing=SPACING, kind="intensity"),
        density=Volume(
            values=to_density(moved, SPACING), spacing=reciprocal(GRID, SPACING), kind="density"
        ),
        prtf=Curve(name="prtf", s_per_angstrom=(0.01, 0.03, 0.05), value=(1.0, 0.5, 0.2)),
        orientations=poses,
        encoder_orientations=so3.haar(500, generator(4, "lost")),
    )
