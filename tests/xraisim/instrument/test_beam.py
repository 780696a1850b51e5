import numpy as np
import pytest
from scipy import stats

from xraisim.core.errors import ConfigError
from xraisim.instrument.beam import Beam

N = 20_000
INDICES = np.arange(N)
GAUSSIAN = Beam(focus="gaussian", focus_radius_um=0.4, position_jitter_um=0.3)
TOP_HAT = Beam(focus="top-hat", focus_radius_um=0.4, position_jitter_um=0.3)


def places(beam: Beam) -> np.ndarray:
    """Distances from the beam's axis of particles at N(0, σ²) along x and along y, µm."""
    x, y = np.random.default_rng(2).normal(0, beam.position_jitter_um, (2, N))
    return np.hypot(x, y)


def test_the_focus_holds_all_photons_of_the_pulse():
    """The fluence on the axis, integrated over the focal plane with the profile of its kind."""
    radius = np.linspace(0, 3, 30_001)
    for focus, profile in (
        ("top-hat", radius < 0.4),
        ("gaussian", np.exp(-2 * (radius / 0.4) ** 2)),
    ):
        beam = Beam(focus=focus, focus_radius_um=0.4)
        photons = np.trapezoid(profile * 2 * np.pi * radius, radius) * beam.fluence_photons_per_um2
        assert photons == pytest.approx(beam.photons_per_pulse, rel=1e-3)


def test_fluence_follows_from_the_place_in_a_gaussian_focus():
    """Against drawn places, and against P(φ/φ_max < u) = u^(w²/4σ²)."""
    fluence = GAUSSIAN.draw_focus(0, INDICES) * GAUSSIAN.fluence_photons_per_um2
    peak = Beam(focus="gaussian", focus_radius_um=0.4).fluence_photons_per_um2
    direct = peak * np.exp(-2 * (places(GAUSSIAN) / 0.4) ** 2)
    assert stats.ks_2samp(fluence, direct).pvalue > 1e-3
    assert GAUSSIAN.fluence_photons_per_um2 == pytest.approx(direct.mean(), rel=0.02)
    power = (0.4 / 0.3) ** 2 / 4
    assert stats.kstest(fluence / peak, lambda u: np.clip(u, 0, 1) ** power).pvalue > 1e-3


def test_a_top_hat_lights_the_particles_inside_its_disc():
    fluence = TOP_HAT.draw_focus(0, INDICES)
    assert set(fluence) == {0.0, 1.0}
    inside = (places(TOP_HAT) < 0.4).mean()
    noise = 4 * np.sqrt(0.25 / N)
    assert TOP_HAT.hit_fraction == pytest.approx(inside, abs=noise)
    assert fluence.mean() == pytest.approx(TOP_HAT.hit_fraction, abs=noise)
    assert TOP_HAT.fluence_photons_per_um2 == Beam(focus_radius_um=0.4).fluence_photons_per_um2


@pytest.mark.parametrize("beam", [GAUSSIAN, Beam(), Beam(focus="gaussian")])
def test_the_relative_fluence_of_hits_is_one_on_average(beam):
    fluence = beam.draw_focus(1, INDICES)
    assert fluence.mean() == pytest.approx(1, abs=4 * fluence.std() / np.sqrt(N) + 1e-12)
    assert beam.hit_fraction == 1


def test_the_pulse_energy_is_gamma_distributed():
    """A SASE pulse of 25 modes: relative rms 1/5."""
    energy = Beam(pulse_energy_jitter=0.2).draw_pulse_energy(0, INDICES)
    assert stats.kstest(energy, stats.gamma(25, scale=1 / 25).cdf).pvalue > 1e-3
    assert energy.std() == pytest.approx(0.2, rel=0.03)
    assert (Beam().draw_pulse_energy(0, INDICES) == 1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"focus": "airy"}, "focus is 'airy'; expected one of top-hat, gaussian"),
        ({"position_jitter_um": -0.1}, "position_jitter_um is -0.1; expected at least 0"),
        ({"pulse_energy_jitter": 1.5}, "pulse_energy_jitter is 1.5; expected 0 to 1"),
        ({"energy_jitter": float("nan")}, "energy_jitter is nan"),
        ({"bandwidth": 0.2, "spectral_lines": 5}, "bandwidth is 0.2; expected"),
        ({"spectral_lines": 0}, "spectral_lines is 0; expected 1 to 64"),
        ({"bandwidth": 0.001}, "needs spectral_lines = 2 or more"),
        ({"spectral_lines": 4}, "one line has no bandwidth"),
    ],
)
def test_impossible_beams_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Beam(**settings)
