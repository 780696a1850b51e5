import math

import numpy as np
import pytest
import torch

from xraisim.core import fsc
from xraisim.core.errors import SamplingError
from xraisim.core.radial import shell_numbers


def _noise(grid, seed, complex_values=True):
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.complex64 if complex_values else torch.float32
    return torch.randn(grid, grid, grid, generator=generator, dtype=dtype)


def _by_hand(grid, shell, function, *volumes):
    """Pick one shell voxel by voxel with numpy: shares no code with the module under test."""
    axis = np.arange(grid) - grid // 2
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    inside = np.round(np.sqrt(x**2 + y**2 + z**2)) == shell
    return function(*(volume.numpy()[inside] for volume in volumes))


def test_fsc_agrees_with_an_independent_shell_sum():
    a, b = _noise(25, 1), _noise(25, 2) + 0.7 * _noise(25, 1)
    curve = fsc.fsc(a, b)
    for shell in (0, 3, 12):
        expected = _by_hand(
            25, shell,
            lambda p, q: np.vdot(q, p).real / np.linalg.norm(p) / np.linalg.norm(q), a, b,
        )  # fmt: skip
        assert curve[shell].item() == pytest.approx(expected, abs=1e-5)


def test_icc_agrees_with_numpy_corrcoef_of_each_shell():
    a, b = _noise(25, 3, False).exp(), _noise(25, 4, False).exp() + 2 * _noise(25, 3, False).exp()
    curves = {"icc": fsc.intensity_correlation(a, b), "amplitude": fsc.amplitude_correlation(a, b)}
    for shell in (2, 7, 12):
        expected = _by_hand(25, shell, lambda p, q: np.corrcoef(p, q)[0, 1], a, b)
        assert curves["icc"][shell].item() == pytest.approx(expected, abs=1e-5)
        expected = _by_hand(25, shell, lambda p, q: np.corrcoef(p**0.5, q**0.5)[0, 1], a, b)
        assert curves["amplitude"][shell].item() == pytest.approx(expected, abs=1e-5)


def test_fsc_of_two_noisy_copies_is_the_signal_to_noise_form():
    signal, grid, snr = _noise(65, 5), 65, 0.8
    copies = [signal + _noise(grid, seed) / math.sqrt(snr) for seed in (6, 7)]
    outer = fsc.fsc(*copies)[15:].mean().item()
    assert outer == pytest.approx(snr / (1 + snr), abs=0.01)


def test_a_shared_radial_profile_earns_nothing():
    profile = torch.exp(-shell_numbers(41) / 5.0) * 1e6
    a, b = profile * _noise(41, 8, False).exp(), profile * _noise(41, 9, False).exp()
    assert fsc.intensity_correlation(a, b)[8:].abs().max() < 0.15
    plain = fsc.fsc(a.to(torch.complex64), b.to(torch.complex64))
    assert plain[8:].min() > 0.3  # why a plain FSC of intensities is not used


def test_masked_voxels_do_not_count_and_empty_shells_are_nan():
    a, b = _noise(21, 10), _noise(21, 11)
    mask = shell_numbers(21) >= 4
    assert torch.isnan(fsc.fsc(a, b, mask)[:4]).all()
    corrupted = torch.where(mask, a, 1e6)
    torch.testing.assert_close(fsc.fsc(corrupted, b, mask)[4:], fsc.fsc(a, b)[4:])


def test_volumes_of_different_size_are_refused():
    with pytest.raises(SamplingError, match="21³ and 23³"):
        fsc.fsc(_noise(21, 1), _noise(23, 1))


def _cross(values, **options):
    s = torch.arange(len(values), dtype=torch.float64) * 0.01
    return fsc.first_crossing(
        torch.tensor(values, dtype=torch.float64), s, 0.5, "fsc_truth_0.5", **options
    )


def test_first_crossing_is_interpolated_and_a_later_rise_is_ignored():
    found = _cross([1.0, 0.9, 0.8, 0.4, 0.9, 0.2])
    assert found.rule == "fsc_truth_0.5"
    assert found.angstrom == pytest.approx(1 / 0.0275)
    assert not found.reached_edge
    assert str(found) == "36.4 Å"


def test_a_curve_that_stays_above_is_reported_at_the_edge():
    found = _cross([1.0, 0.9, 0.8, 0.6])
    assert found.reached_edge
    assert found.angstrom == pytest.approx(1 / 0.03)
    assert str(found) == "≤ 33.3 Å"


def test_a_curve_that_starts_below_has_no_resolution():
    assert _cross([1.0, 0.3, 0.9, 0.9]).angstrom is None
    assert str(_cross([1.0, 0.3, 0.9])) == "not resolved"


def test_shells_in_the_beamstop_and_beyond_the_edge_are_skipped():
    found = _cross([math.nan, 0.1, 0.9, 0.8, 0.2], s_range=(0.015, 0.03))
    assert found.reached_edge
    assert found.angstrom == pytest.approx(1 / 0.03)
    with pytest.raises(SamplingError, match="no shell"):
        _cross([1.0, 0.9], s_range=(0.5, 0.6))
