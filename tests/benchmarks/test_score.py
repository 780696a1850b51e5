"""Scoring finds a known rotation, hand and shift, and gives the numbers they were made with."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from benchmarks import score as scoring
from benchmarks.record import Curve
from benchmarks.score import Result, ScoreConfig, Truth
from xraisim.core import rotations, so3
from xraisim.core.align import Alignment, shift_structure_factors
from xraisim.core.errors import FormatError
from xraisim.core.fourier import reciprocal, to_density
from xraisim.core.random import generator
from xraisim.core.symmetry import point_group
from xraisim.core.types import Volume
from xraisim.sample.structure import Atoms
from xraisim.scattering.structure_factor import structure_factor_grid

GRID, SPACING, ENERGY = 45, 0.003, 4600.0
S_RANGE = (0.006, 0.06)
NOISE_DEG = 2.0


@pytest.fixture(scope="module")
def truth() -> Truth:
    """A lopsided cloud of 300 carbons, about 100 Å across."""
    draw = np.random.default_rng(1)
    positions = draw.normal(size=(300, 3)) * [22.0, 12.0, 8.0]
    positions[:60] += [0.0, 25.0, 10.0]
    positions -= positions.mean(0)
    return Truth(
        atoms=Atoms(
            positions=positions,
            elements=np.full(300, 6),
            occupancy=np.ones(300),
            b_iso=np.full(300, 20.0),
        ),
        photon_energy_ev=ENERGY,
        orientations=so3.haar(500, generator(1, "truth")),
        s_range=S_RANGE,
    )


@pytest.fixture(scope="module")
def result(truth: Truth) -> Result:
    """The truth turned by a known rotation; the density of the other hand, moved by 7 Å."""
    turn = so3.haar(1, generator(2, "turn"))[0]
    matrix = rotations.to_matrix(turn.double()).numpy()
    turned = dataclasses.replace(truth.atoms, positions=truth.atoms.positions @ matrix)
    F = torch.from_numpy(structure_factor_grid(turned, GRID, SPACING, ENERGY))
    moved = shift_structure_factors(F.conj(), torch.tensor([7.0, 0.0, -3.0]), SPACING)
    noise = generator(3, "noise")
    sigma = math.radians(NOISE_DEG)
    poses = so3.perturb(rotations.multiply(truth.orientations, turn[None]), 1, sigma, noise)[:, 0]
    mates = torch.arange(len(poses)) % 4 == 0
    poses[mates] = so3.in_plane_mate(poses[mates])
    return Result(
        intensity=Volume(values=F.abs() ** 2, spacing=SPACING, kind="intensity"),
        density=Volume(
            values=to_density(moved, SPACING), spacing=reciprocal(GRID, SPACING), kind="density"
        ),
        prtf=Curve(name="prtf", s_per_angstrom=(0.01, 0.03, 0.05), value=(1.0, 0.5, 0.2)),
        orientations=poses,
        encoder_orientations=so3.haar(500, generator(4, "lost")),
    )


@pytest.fixture(scope="module")
def scores(result: Result, truth: Truth) -> scoring.Scores:
    return scoring.score(result, truth, ScoreConfig(align_fine_angstrom=25.0, slice_points=21), 0)


def test_the_same_particle_agrees_in_every_shell(scores: scoring.Scores) -> None:
    # Breaks if A is used for its inverse, if the hand is not tried or the shift not found.
    icc, fsc, _ = scores.curves
    assert min(icc.value) > 0.995
    assert min(fsc.value) > 0.995
    for found in scores.resolutions[:2]:
        assert found.reached_edge
        assert found.angstrom == pytest.approx(1 / S_RANGE[1], rel=0.06)  # half a shell is left out


def test_curves_stay_within_what_was_measured(scores: scoring.Scores) -> None:
    for curve in scores.curves[:2]:
        assert curve.s_per_angstrom[0] > S_RANGE[0]
        assert curve.s_per_angstrom[-1] < S_RANGE[1]


def test_prtf_crossing_is_named_by_its_rule(scores: scoring.Scores) -> None:
    found = scores.resolutions[2]
    assert found.rule == "prtf_1/e"
    assert found.angstrom == pytest.approx(1 / (0.03 + 0.02 * (0.5 - math.exp(-1)) / 0.3))


def test_pose_error_is_what_was_put_in(scores: scoring.Scores) -> None:
    # The angle of three normal components of σ has a median of 1.538 σ; a quarter are mates.
    error = scores.pose_error
    assert error.median_modulo_mate_deg == pytest.approx(1.538 * NOISE_DEG, rel=0.1)
    assert error.p90_modulo_mate_deg == pytest.approx(2.5 * NOISE_DEG, rel=0.1)
    assert error.p90_deg > 90
    assert error.median_deg < 2.2 * NOISE_DEG


def test_patterns_without_a_pose_are_left_out(result: Result, truth: Truth) -> None:
    here = Alignment(quaternion=torch.tensor([1.0, 0.0, 0.0, 0.0]), score=1.0)
    some = truth.orientations.clone()
    some[::3] = math.nan
    group = point_group("C1")
    error = scoring.pose_error(some, truth.orientations, here, group)
    assert error.p90_deg < 0.1
    with pytest.raises(FormatError, match="no pattern has an orientation"):
        scoring.pose_error(some * math.nan, truth.orientations, here, group)


def test_equivalent_orientations_of_a_symmetric_particle_are_the_same(truth: Truth) -> None:
    here = Alignment(quaternion=torch.tensor([1.0, 0.0, 0.0, 0.0]), score=1.0)
    group = point_group("O").float()
    index = torch.arange(len(truth.orientations)) % len(group)
    equivalent = rotations.multiply(truth.orientations, group[index])
    assert scoring.pose_error(equivalent, truth.orientations, here, group).p90_deg < 0.1
    assert scoring.pose_error(equivalent, truth.orientations, here, group[:1]).median_deg > 60


def test_lost_poses_look_lost(scores: scoring.Scores) -> None:
    assert scores.encoder_pose_error is not None
    assert scores.encoder_pose_error.median_deg > 90


def test_slices_show_result_and_truth_alike(scores: scoring.Scores) -> None:
    planes = scores.slices
    np.testing.assert_allclose(
        planes.intensity, planes.intensity_truth, rtol=1e-3, atol=1e-3 * planes.intensity.max()
    )
    deviation = np.abs(planes.density - planes.density_truth).max()
    assert deviation < 0.02 * planes.density_truth.max()


def test_another_particle_does_not_agree(
    result: Result, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No frame is right for the wrong particle, so any will do.
    anyhow = Alignment(quaternion=torch.tensor([1.0, 0.0, 0.0, 0.0]), score=0.0)
    monkeypatch.setattr(scoring, "_align", lambda *_: anyhow)
    draw = np.random.default_rng(9)
    atoms = dataclasses.replace(truth.atoms, positions=draw.normal(size=(300, 3)) * 15)
    other = dataclasses.replace(truth, atoms=atoms)
    for found in scoring.score(result, other, ScoreConfig(slice_points=21), 0).resolutions[:2]:
        assert found.angstrom is None or found.angstrom > 40
