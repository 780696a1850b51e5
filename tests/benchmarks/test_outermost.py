"""The correlation at the edge of the data, against numpy's, voxel by voxel."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks import leaderboard
from benchmarks.comparison import Comparison, Reconstruction, ScoreConfig, TrueParticle
from benchmarks.metrics import METRICS
from benchmarks.metrics.icc_truth_outermost import NAME, outermost
from benchmarks.record import Curve, Record, Value
from tests.benchmarks.conftest import ENERGY, GRID, S_RANGE, SPACING
from xraisim.core.align import Alignment
from xraisim.core.random import generator
from xraisim.core.types import Volume
from xraisim.scattering.structure_factor import structure_factor_grid


def compared(result: Reconstruction, truth: TrueParticle, grid: int, noise: float) -> Comparison:
    F = structure_factor_grid(truth.particle, grid, SPACING, ENERGY)
    draw = torch.randn(grid, grid, grid, generator=generator(7, "noise"))
    values = torch.from_numpy(np.abs(F) ** 2).float() * (1 + noise * draw)
    volume = Volume(values=values, spacing=SPACING, kind="intensity")
    made = Comparison(dataclasses.replace(result, intensity=volume), truth, ScoreConfig())
    made.alignment = Alignment(quaternion=torch.tensor([1.0, 0.0, 0.0, 0.0]), score=1.0)
    return made


def in_outer_tenth(comparison: Comparison) -> float:
    """Return the mean of numpy's correlation in shells 18 and 19 of the 20 to the edge."""
    found = comparison.found.intensity.values.double().numpy()
    true = comparison.true_factors.abs().square().double().numpy()
    axis = np.arange(GRID) - GRID // 2
    shell = np.rint(np.sqrt(sum(np.meshgrid(axis**2, axis**2, axis**2)))).astype(int)
    assert S_RANGE[1] / SPACING == pytest.approx(20)
    both = [np.corrcoef(found[shell == k], true[shell == k])[0, 1] for k in (18, 19)]
    return float(np.mean(both))


def test_it_is_the_mean_over_the_outer_tenth(result: Reconstruction, truth: TrueParticle) -> None:
    values = []
    for noise in (0.0, 0.5, 3.0):
        made = compared(result, truth, GRID, noise)
        values.append(METRICS[NAME].measure(made).value)
        assert values[-1] == pytest.approx(in_outer_tenth(made), abs=2e-5)
    assert values[0] == pytest.approx(1.0, abs=1e-4)
    assert 1 > values[1] > values[2] + 0.2


def test_a_volume_that_ends_before_the_edge_has_less(
    result: Reconstruction, truth: TrueParticle
) -> None:
    for half, expected in [(20, 1.0), (18, 0.5), (12, 0.0)]:
        made = compared(result, truth, 2 * half + 1, 0.0)
        assert METRICS[NAME].measure(made).value == pytest.approx(expected, abs=1e-4)


def test_wide_shells_leave_the_last_one() -> None:
    curve = Curve(name="icc_truth", s_per_angstrom=(0.02, 0.04), value=(0.9, 0.3))
    assert outermost(curve, 0.02, 0.055) == 0.3
    assert METRICS[NAME].better == "higher"


def test_it_is_in_pages_and_not_on_a_terminal(make_record: Callable[..., Record]) -> None:
    one = make_record()
    told = one.metrics | {NAME: Value(value=0.99476)}
    found = leaderboard.entries([make_record(metrics=told), make_record(method="emc")])
    text = leaderboard.markdown(found)
    assert NAME in text
    assert "0.9948" in text
    (shown,) = leaderboard.tables(found)
    assert not [column for column in shown.columns if "outermost" in str(column.header)]
