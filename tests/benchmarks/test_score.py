"""Scoring finds a known rotation, hand and shift, and gives the numbers they were made with."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from benchmarks import comparison
from benchmarks.comparison import Reconstruction, ScoreConfig, TrueParticle
from benchmarks.metrics.pose_error import pose_error
from benchmarks.score import Scores, score
from tests.benchmarks.conftest import NOISE_DEG, S_RANGE
from xraisim.core import rotations
from xraisim.core.align import Alignment
from xraisim.core.errors import FormatError
from xraisim.core.symmetry import point_group


@pytest.fixture(scope="module")
def scores(result: Reconstruction, truth: TrueParticle) -> Scores:
    return score(result, truth, ScoreConfig(align_fine_angstrom=25.0, slice_points=21), 0)


def test_the_same_particle_agrees_in_every_shell(scores: Scores) -> None:
    # Breaks if A is used for its inverse, if the hand is not tried or the shift not found.
    icc, fsc, _ = scores.curves
    assert min(icc.value) > 0.995
    assert min(fsc.value) > 0.995
    for name in ("icc_truth_0.5", "fsc_truth_0.5"):
        found = scores.metrics[name]
        assert found.reached_edge
        assert found.value == pytest.approx(1 / S_RANGE[1], rel=0.06)  # half a shell is left out


def test_curves_stay_within_what_was_measured(scores: Scores) -> None:
    for curve in scores.curves[:2]:
        assert curve.s_per_angstrom[0] > S_RANGE[0]
        assert curve.s_per_angstrom[-1] < S_RANGE[1]


def test_prtf_crossing_is_named_by_its_rule(scores: Scores) -> None:
    found = scores.metrics["prtf_1/e"]
    assert found.value == pytest.approx(1 / (0.03 + 0.02 * (0.5 - math.exp(-1)) / 0.3))


def test_pose_error_is_what_was_put_in(scores: Scores) -> None:
    # The angle of three normal components of σ has a median of 1.538 σ; a quarter are mates.
    error = {name: found.value for name, found in scores.metrics.items()}
    assert error["pose_error_median_modulo_mate_deg"] == pytest.approx(1.538 * NOISE_DEG, rel=0.1)
    assert error["pose_error_p90_modulo_mate_deg"] == pytest.approx(2.5 * NOISE_DEG, rel=0.1)
    assert error["pose_error_p90_deg"] > 90
    assert error["pose_error_median_deg"] < 2.2 * NOISE_DEG


def test_patterns_without_a_pose_are_left_out(result: Reconstruction, truth: TrueParticle) -> None:
    here = Alignment(quaternion=torch.tensor([1.0, 0.0, 0.0, 0.0]), score=1.0)
    some = truth.orientations.clone()
    some[::3] = math.nan
    group = point_group("C1")
    error = pose_error(some, truth.orientations, here, group)
    assert error.p90_deg < 0.1
    with pytest.raises(FormatError, match="no pattern has an orientation"):
        pose_error(some * math.nan, truth.orientations, here, group)


def test_equivalent_orientations_of_a_symmetric_particle_are_the_same(truth: TrueParticle) -> None:
    here = Alignment(quaternion=torch.tensor([1.0, 0.0, 0.0, 0.0]), score=1.0)
    group = point_group("O").float()
    index = torch.arange(len(truth.orientations)) % len(group)
    equivalent = rotations.multiply(truth.orientations, group[index])
    assert pose_error(equivalent, truth.orientations, here, group).p90_deg < 0.1
    assert pose_error(equivalent, truth.orientations, here, group[:1]).median_deg > 60


def test_lost_poses_look_lost(scores: Scores) -> None:
    assert scores.metrics["encoder_pose_error_median_deg"].value > 90


def test_slices_show_result_and_truth_alike(scores: Scores) -> None:
    planes = scores.slices
    np.testing.assert_allclose(
        planes.intensity, planes.intensity_truth, rtol=1e-3, atol=1e-3 * planes.intensity.max()
    )
    deviation = np.abs(planes.density - planes.density_truth).max()
    assert deviation < 0.02 * planes.density_truth.max()


def test_another_particle_does_not_agree(
    result: Reconstruction, truth: TrueParticle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No frame is right for the wrong particle, so any will do.
    anyhow = Alignment(quaternion=torch.tensor([1.0, 0.0, 0.0, 0.0]), score=0.0)
    monkeypatch.setattr(comparison, "align", lambda *_: anyhow)
    draw = np.random.default_rng(9)
    atoms = dataclasses.replace(truth.particle, positions=draw.normal(size=(300, 3)) * 15)
    other = dataclasses.replace(truth, particle=atoms)
    found = score(result, other, ScoreConfig(slice_points=21), 0).metrics
    for name in ("icc_truth_0.5", "fsc_truth_0.5"):
        assert found[name].value is None or found[name].value > 40
