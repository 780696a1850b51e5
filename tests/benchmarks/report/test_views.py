"""Slices and cubes: kept, in the truth's frame, drawn at comparable levels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks.comparison import Reconstruction, ScoreConfig, TrueParticle
from benchmarks.cubes import Cubes
from benchmarks.report.volumes import _same_volume
from benchmarks.score import score
from benchmarks.slices import Slices


def test_slices_round_trip(slices: Slices, tmp_path: Path) -> None:
    slices.save(tmp_path / "s.npz")
    found = Slices.load(tmp_path / "s.npz")
    assert found.reach_angstrom == 150.0
    np.testing.assert_array_equal(found.density, slices.density)


def test_cubes_round_trip(cubes: Cubes, tmp_path: Path) -> None:
    cubes.save(tmp_path / "c.npz")
    found = Cubes.load(tmp_path / "c.npz")
    assert found.reach_angstrom == 150.0
    np.testing.assert_allclose(found.density, cubes.density, atol=1e-3)


def test_cubes_are_in_the_frame_of_the_truth(truth: TrueParticle, result: Reconstruction) -> None:
    """The result is the truth turned, moved and of the other hand: it must look the same."""
    scores = score(result, truth, ScoreConfig(), 0)
    cubes, slices = scores.cubes, scores.slices
    together = np.corrcoef(cubes.density.ravel(), cubes.density_truth.ravel())[0, 1]
    assert together > 0.98
    # The plane in the middle is that of the slices, as far as a coarser grid shows it.
    middle = cubes.density_truth[:, :, 23:25].mean(2)
    edge = np.linspace(0, len(slices.density_truth) - 1, 48).round().astype(int)
    fine = slices.density_truth[np.ix_(edge, edge)]
    assert np.corrcoef(middle.ravel(), fine.ravel())[0, 1] > 0.95


def test_surfaces_enclose_the_same_volume(cubes: Cubes) -> None:
    level = _same_volume(cubes)
    inside = (cubes.density > level).mean()
    assert inside == pytest.approx((cubes.density_truth > 0.22).mean(), abs=0.01)
    twice = dataclasses.replace(cubes, density=2 * cubes.density)
    assert _same_volume(twice) == pytest.approx(2 * level)
