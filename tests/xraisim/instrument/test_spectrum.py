import numpy as np
import pytest
from scipy import stats

from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, pixel_positions, scattering_vectors
from xraisim.instrument.spectrum import draw_spectrum, largest_scale, line_offsets

INDICES = np.arange(20_000)
SASE = Beam(bandwidth=0.002, spectral_lines=9)


def test_a_line_sees_scattering_vectors_scaled_by_its_energy():
    position = pixel_positions(Detector(rows=8, columns=8, pixel_size_mm=12))
    nominal, line = Beam(), Beam(photon_energy_ev=1.02 * Beam().photon_energy_ev)
    exact = scattering_vectors(position, line.wavelength_angstrom)
    scaled = 1.02 * scattering_vectors(position, nominal.wavelength_angstrom)
    assert np.allclose(scaled, exact, rtol=1e-12)


@pytest.mark.parametrize("lines", [2, 7, 64])
def test_the_lines_have_the_mean_and_the_width_of_the_spectrum(lines):
    offsets = line_offsets(lines)
    assert (np.diff(offsets) > 0).all()
    assert offsets.mean() == pytest.approx(0, abs=1e-12)
    assert (offsets**2).mean() == pytest.approx(1, abs=1e-12)


def test_many_lines_are_a_gaussian_spectrum():
    offsets = line_offsets(64)
    assert stats.kstest(offsets, "norm").statistic < 0.5 / 64 + 0.003
    assert line_offsets(1).tolist() == [0.0]


def test_a_monochromatic_pulse_is_one_line_at_the_nominal_energy():
    energy, lines, share = draw_spectrum(Beam(), 0, INDICES[:5])
    assert (energy == 1).all()
    assert lines.tolist() == share.tolist() == [[1.0]] * 5


def test_the_photon_energy_is_a_gaussian_cut_at_four_rms():
    beam = Beam(energy_jitter=0.003)
    energy, lines, _ = draw_spectrum(beam, 0, INDICES)
    assert stats.kstest((energy - 1) / 0.003, stats.truncnorm(-4, 4).cdf).pvalue > 1e-3
    assert (lines[:, 0] == energy).all()
    assert energy.max() < largest_scale(beam) == pytest.approx(1.012)


def test_shares_are_those_of_independent_modes():
    """A share of n is Beta(1, n − 1): the ratio of an exponential to the sum of n of them."""
    _, lines, share = draw_spectrum(SASE, 0, INDICES)
    assert np.allclose(share.sum(1), 1, rtol=1e-12)
    for line in (0, 4, 8):
        assert stats.kstest(share[:, line], stats.beta(1, 8).cdf).pvalue > 1e-3
    assert np.allclose(share.mean(0), 1 / 9, atol=4 * np.sqrt(8 / 810 / len(INDICES)))
    assert abs(np.corrcoef(share[:, 0], share[:, 1])[0, 1] + 1 / 8) < 0.03
    assert lines.max() == pytest.approx(largest_scale(SASE), rel=1e-12)


def test_shares_and_pulse_energy_together_are_exponential_modes():
    """Where the energy's jitter is that of as many modes as there are lines."""
    beam = Beam(bandwidth=0.002, spectral_lines=9, pulse_energy_jitter=1 / 3)
    _, _, share = draw_spectrum(beam, 3, INDICES)
    photons = share * beam.draw_pulse_energy(3, INDICES)[:, None]
    assert stats.kstest(photons[:, 2] * 9, "expon").pvalue > 1e-3
    assert abs(np.corrcoef(photons[:, 2], photons[:, 5])[0, 1]) < 0.03


def test_jitter_and_bandwidth_add_in_squares():
    beam = Beam(energy_jitter=0.004, bandwidth=0.003, spectral_lines=9)
    energy, lines, share = draw_spectrum(beam, 0, INDICES)
    assert lines.mean(1) == pytest.approx(energy, rel=1e-12)
    mean = (share * lines).sum(1).mean()
    width = np.sqrt((share * (lines - mean) ** 2).sum(1).mean())
    assert width == pytest.approx(0.005, rel=0.02)
    assert lines.max() < largest_scale(beam)


def test_fringes_fade_as_those_of_a_gaussian_spectrum():
    """cos(2πDs·E/E₀) averages to e^(−2(πDsσ)²) of itself: fringes of a body D wide, at s."""
    Ds, jitter, bandwidth = 20.0, 0.004, 0.003
    beam = Beam(energy_jitter=jitter, bandwidth=bandwidth, spectral_lines=15)
    _, lines, share = draw_spectrum(beam, 1, INDICES)
    seen = (share * np.exp(2j * np.pi * Ds * lines)).sum(1)
    variance = jitter**2 + bandwidth**2
    expected = np.exp(-2 * (np.pi * Ds) ** 2 * variance) * np.exp(2j * np.pi * Ds)
    assert 0.8 < abs(expected) < 0.85
    assert abs(seen.mean() - expected) < 4 * seen.std() / np.sqrt(len(INDICES)) + 0.002
