"""Relative poses, and stated errors of poses: against closed forms and plain loops over pairs."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from benchmarks.comparison import Comparison, Reconstruction, ScoreConfig, TrueParticle
from benchmarks.metrics import METRICS, error_calibration, relative_pose_error
from benchmarks.record import Value
from xraisim.core import rotations, so3
from xraisim.core.align import Alignment
from xraisim.core.random import generator
from xraisim.core.symmetry import point_group

SIGMA_DEG = 1.5  # per axis
TURN = so3.haar(1, generator(5, "turn"))[0]

Compare = Callable[..., Comparison]


@pytest.fixture
def compare(result: Reconstruction, truth: TrueParticle) -> Compare:
    """Return a maker of comparisons of 4,000 true poses with those that are found, in their frame.

    The frame is known to be off by ``off_deg``.
    """

    def make(
        disturbed: Callable[[Tensor], Tensor],
        group: str = "C1",
        off_deg: float = 0.0,
        **told: Tensor,
    ) -> Comparison:
        true = so3.haar(4000, generator(1, "poses"))
        found = rotations.multiply(disturbed(true), TURN[None])
        made = Comparison(
            dataclasses.replace(result, orientations=found, encoder_orientations=None, **told),
            dataclasses.replace(truth, orientations=true),
            ScoreConfig(symmetry=group),
        )
        off = rotations.from_rotation_vector(torch.tensor([0.0, math.radians(off_deg), 0.0]))
        made.alignment = Alignment(quaternion=rotations.multiply(off, TURN), score=1.0)
        made.group = point_group(group).float()
        return made

    return make


def blurred(true: Tensor) -> Tensor:
    return so3.perturb(true, 1, math.radians(SIGMA_DEG), generator(2, "blur"))[:, 0]


def mates_of_half(true: Tensor) -> Tensor:
    other = torch.arange(len(true)) % 2 == 0
    return torch.where(other[:, None], so3.in_plane_mate(true), true)


def value(comparison: Comparison, name: str) -> float:
    found = METRICS[name].measure(comparison)
    assert found is not None
    assert found.value is not None
    return found.value


def test_relative_errors_are_those_of_two_poses_whatever_the_frame(compare: Compare) -> None:
    # The length of three normal components of √2 σ has the mean 2 √(2/π) √2 σ (Maxwell).
    expected = 4 / math.sqrt(math.pi) * SIGMA_DEG
    for off in (0.0, 30.0):
        made = compare(blurred, off_deg=off)
        for name in (relative_pose_error.NAME, relative_pose_error.NAME_MODULO_MATE):
            assert value(made, name) == pytest.approx(expected, rel=0.02)
    assert value(compare(blurred, off_deg=30.0), "pose_error_median_deg") > 25


def test_mates_and_equivalent_poses_count_where_they_should(compare: Compare) -> None:
    mates = compare(mates_of_half)
    assert value(mates, relative_pose_error.NAME_MODULO_MATE) < 0.01
    # Half of the pairs have one mate: a half turn apart. A quarter have two: turns about axes at an
    # angle θ give one by 2θ, and θ up to 90° between random axes has the mean of a radian.
    expected = 180 / 2 + math.degrees(2) / 4
    assert value(mates, relative_pose_error.NAME) == pytest.approx(expected, abs=2.5)

    def equivalent(true: Tensor) -> Tensor:
        group = point_group("O").float()
        return rotations.multiply(true, group[torch.arange(len(true)) % len(group)])

    assert value(compare(equivalent, "O"), relative_pose_error.NAME) < 0.01
    assert value(compare(equivalent, "C1"), relative_pose_error.NAME) > 60


@pytest.mark.parametrize("modulo_mate", [False, True])
def test_relative_angles_are_those_of_matrices(modulo_mate: bool) -> None:
    group = point_group("D3").float()
    found, true = (so3.haar(12, generator(seed, "pairs")) for seed in (3, 4))
    here = relative_pose_error.relative_angles(
        (found[:6], found[6:]), (true[:6], true[6:]), group, modulo_mate=modulo_mate
    )

    def matrices(quaternions: Tensor) -> np.ndarray:
        return Rotation.from_quat(quaternions.numpy(), scalar_first=True).as_matrix()

    F, T, G = matrices(found), matrices(true), matrices(group)
    half_turn = np.diag([-1.0, -1.0, 1.0])
    mates = [np.eye(3), half_turn] if modulo_mate else [np.eye(3)]
    for n in range(6):
        angles = [
            Rotation.from_matrix(
                (F[n] @ F[n + 6].T).T @ (f @ T[n] @ g @ T[n + 6].T @ h)
            ).magnitude()
            for f, g, h in itertools.product(mates, G, mates)
        ]
        assert float(here[n]) == pytest.approx(math.degrees(min(angles)), abs=1e-3)


def test_pairs_are_of_two_patterns_that_have_poses(compare: Compare) -> None:
    first, second = relative_pose_error.pairs(3)
    assert (first != second).all()
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == set(
        itertools.permutations(range(3), 2)
    )

    def some(true: Tensor) -> Tensor:
        lost = true.clone()
        lost[::2] = math.nan
        return lost

    assert value(compare(some), relative_pose_error.NAME) < 0.01
    none = compare(lambda true: true * math.nan)
    assert relative_pose_error.of_method(none) is None


def share_within(radius: float) -> float:
    """Return P(|x| < r) of three normal components of unit variance: another form of χ²₃."""
    tail = math.sqrt(2 / math.pi) * radius * math.exp(-(radius**2) / 2)
    return math.erf(radius / math.sqrt(2)) - tail


def test_radii_hold_the_share_that_they_are_named_for() -> None:
    for share in (0.5, 0.68, 0.95):
        # One stated error is √3 standard deviations of an axis.
        assert share_within(error_calibration.radius(share) * math.sqrt(3)) == pytest.approx(share)


@pytest.mark.parametrize("too_small", [1.0, 2.0])
def test_stated_errors_are_held_against_known_ones(compare: Compare, too_small: float) -> None:
    # A mate is no error, and a frame that is found is none either.
    stated = torch.full((4000,), SIGMA_DEG * math.sqrt(3) / too_small)
    made = compare(lambda true: mates_of_half(blurred(true)), stated_error_deg=stated)
    assert value(made, "pose_error_rms_over_stated") == pytest.approx(too_small, rel=0.02)
    for percent in (68, 95):
        radius = error_calibration.radius(percent / 100) * math.sqrt(3) / too_small
        found = value(made, f"pose_error_within_stated_{percent}")
        assert found == pytest.approx(share_within(radius), abs=0.02)


def test_errors_that_differ_from_pattern_to_pattern(compare: Compare) -> None:
    sigma = torch.linspace(0.2, 4.0, 4000).flip(0)

    def each_its_own(true: Tensor) -> Tensor:
        vector = torch.randn(len(true), 3, generator=generator(6, "own"))
        vector *= torch.deg2rad(sigma)[:, None]
        return rotations.multiply(true, rotations.from_rotation_vector(vector))

    made = compare(each_its_own, stated_error_deg=sigma * math.sqrt(3))
    assert value(made, "pose_error_within_stated_68") == pytest.approx(0.68, abs=0.02)
    curve = error_calibration.reliability_of_method(made)
    assert curve is not None
    assert curve.patterns == (400,) * 10
    assert list(curve.stated_deg) == sorted(curve.stated_deg)
    np.testing.assert_allclose(curve.actual_deg, curve.stated_deg, rtol=0.08)
    # One error for all says as much on average, and nothing of single patterns.
    same = torch.full((4000,), float(sigma.square().mean().sqrt()) * math.sqrt(3))
    flat = compare(each_its_own, stated_error_deg=same)
    assert value(flat, "pose_error_rms_over_stated") == pytest.approx(1.0, rel=0.03)
    assert value(flat, "pose_error_within_stated_95") < 0.92


def test_who_states_no_error_has_no_calibration(compare: Compare) -> None:
    nothing = torch.full((4000,), math.nan)
    for told in (
        {},
        {"stated_error_deg": nothing},
        {"stated_error_deg": 0.0 * nothing.nan_to_num()},
    ):
        made = compare(blurred, **told)
        assert error_calibration.of_method(made) is None
    assert METRICS["pose_error_rms_over_stated"].measure(compare(blurred)) is None
    partly = torch.full((4000,), SIGMA_DEG * math.sqrt(3))
    partly[:3000] = math.nan
    found = METRICS["pose_error_rms_over_stated"].measure(compare(blurred, stated_error_deg=partly))
    assert isinstance(found, Value)
    assert found.value == pytest.approx(1.0, rel=0.05)


def test_patterns_without_a_true_pose_count_for_nothing(compare: Compare) -> None:
    """Contaminants and other species have none; poses found of them must not disturb."""
    same = torch.full((4000,), SIGMA_DEG * math.sqrt(3))
    made = compare(blurred, stated_error_deg=same)
    expected = {name: METRICS[name].measure(made) for name in METRICS if "pose_error" in name}
    strange = made.truth.orientations.clone()
    strange[::2] = math.nan
    made = compare(blurred, stated_error_deg=same)
    made.truth = dataclasses.replace(made.truth, orientations=strange)
    for name, whole in expected.items():
        half = METRICS[name].measure(made)
        if whole is None:
            assert half is None
        else:
            assert half.value == pytest.approx(whole.value, rel=0.05), name


def test_what_is_right_is_told_where_neither_less_nor_more_is_better() -> None:
    assert METRICS["pose_error_within_stated_68"].aim == "nearer 0.68"
    assert METRICS["pose_error_median_deg"].aim == "lower"
