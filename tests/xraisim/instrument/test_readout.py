"""Read-out and conversion: noise statistics, error rates in closed form, round trips."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import norm, poisson

from xraisim.core.errors import ConfigError
from xraisim.core.types import Photons
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, MaskReason, geometry
from xraisim.instrument.panels import Panel
from xraisim.instrument.readout import Readout, count_photons, counted, read_out, saturate


@pytest.fixture(scope="module")
def seen():
    panels = tuple(
        Panel(
            name=name,
            rows=24,
            columns=40,
            corner_mm=(-20.0, y, 0.0),
            fs_mm=(1.0, 0.0, 0.0),
            ss_mm=(0.0, 1.0, 0.0),
        )
        for name, y in (("lower", -25.0), ("upper", 1.0))
    )
    return geometry(Detector(panels=panels, beamstop_radius_mm=6), Beam())


def patterns(seen, number: int, mean: float, seed: int = 0) -> Photons:
    """Poisson photons of one mean on all usable pixels."""
    good = seen.good
    count = np.random.default_rng(seed).poisson(mean, (number, len(good)))
    row, column = np.nonzero(count)
    return Photons(
        offsets=np.searchsorted(row, np.arange(number + 1)),
        pixel=good[column].astype(np.int32),
        count=count[row, column].astype(np.int32),
    )


def assert_same(found: Photons, expected: Photons):
    for field in ("offsets", "pixel", "count"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


def test_no_read_out_counts_exactly(seen):
    photons = patterns(seen, 3, 0.1)
    assert counted(photons, seen, Readout(), 1, 0) is photons


def test_frames_have_offset_gain_and_noise(seen):
    photons = patterns(seen, 40, 0.5)
    readout = Readout(adu_per_photon=30.0, noise_adu=4.0, offset_adu=100.0)
    frames = read_out(photons, seen, readout, seed=2, first=0)
    assert frames.dtype == np.float32
    assert frames.shape == (40, 1920)
    noise = frames - 100.0 - 30.0 * photons.dense(1920).numpy()
    values = noise.size
    assert abs(noise.mean()) < 4 * 4.0 / np.sqrt(values)
    assert noise.std() == pytest.approx(4.0, abs=4 * 4.0 / np.sqrt(2 * values))
    fourth = ((noise / noise.std()) ** 4).mean()
    assert fourth == pytest.approx(3.0, abs=4 * np.sqrt(96 / values))


def test_common_mode_is_one_value_per_panel_and_shot(seen):
    readout = Readout(adu_per_photon=30.0, common_mode_adu=9.0)
    frames = read_out(patterns(seen, 300, 0.0), seen, readout, seed=2, first=0)
    levels = frames.reshape(300, 2, -1)
    assert (levels == levels[:, :, :1]).all()
    levels = levels[:, :, 0]
    assert levels.std() == pytest.approx(9.0, abs=4 * 9.0 / np.sqrt(2 * 600))
    assert abs(np.corrcoef(levels.T)[0, 1]) < 4 / np.sqrt(300)


def test_counting_recovers_the_photons_where_noise_is_low(seen):
    photons = patterns(seen, 50, 0.3)
    readout = Readout(adu_per_photon=30.0, noise_adu=1.5, common_mode_adu=20.0, offset_adu=50.0)
    assert_same(counted(photons, seen, readout, 4, 0), photons)


def test_strong_patterns_leave_the_common_mode_right(seen):
    # a third of the pixels is lit: a plain median would be half a noise too high
    photons = patterns(seen, 100, 0.4)
    readout = Readout(adu_per_photon=30.0, noise_adu=4.0, common_mode_adu=15.0)
    found = counted(photons, seen, readout, 4, 0)
    without = counted(photons, seen, dataclasses.replace(readout, common_mode_adu=0.0), 4, 0)
    wrong, wrong_without = (
        (part.dense(1920) != photons.dense(1920)).float().mean().item() for part in (found, without)
    )
    assert wrong == pytest.approx(wrong_without, rel=0.15)


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_false_and_lost_photons_come_at_the_gaussian_rate(seen, threshold):
    readout = Readout(adu_per_photon=30.0, noise_adu=12.0, threshold_photons=threshold)
    ratio = 30.0 / 12.0
    dark = counted(patterns(seen, 200, 0.0), seen, readout, 7, 0)
    values = 200 * len(seen.good)
    false = norm.sf(threshold * ratio)
    assert abs(len(dark.pixel) - false * values) < 4 * np.sqrt(false * values)
    one = Photons(
        offsets=np.arange(201) * len(seen.good),
        pixel=np.tile(seen.good, 200).astype(np.int32),
        count=np.ones(values, np.int32),
    )
    lit = counted(one, seen, readout, 8, 0)
    lost = norm.cdf((threshold - 1) * ratio)
    assert abs((values - len(lit.pixel)) - lost * values) < 4 * np.sqrt(lost * values)
    double = norm.sf(threshold * ratio)
    assert abs((lit.count > 1).sum() - double * values) < 4 * np.sqrt(double * values)


def test_masked_pixels_are_not_counted(seen):
    masked = dataclasses.replace(seen, reasons=seen.reasons.copy())
    masked.reasons[::2] |= np.uint8(MaskReason.DEFECT)
    readout = Readout(adu_per_photon=30.0, noise_adu=20.0)
    found = counted(patterns(seen, 20, 1.0), masked, readout, 7, 0)
    assert not masked.mask[found.pixel].any()
    assert len(found.pixel) > 1000


def test_a_pattern_reads_out_the_same_in_any_block(seen, monkeypatch):
    photons = patterns(seen, 9, 0.2)
    readout = Readout(adu_per_photon=30.0, noise_adu=12.0, common_mode_adu=5.0)
    whole = counted(photons, seen, readout, 7, 100)
    monkeypatch.setattr("xraisim.instrument.readout._BLOCK_VALUES", 2 * 1920)
    assert_same(counted(photons, seen, readout, 7, 100), whole)
    assert_same(
        counted(photons.take(np.arange(4, 9)), seen, readout, 7, 104), whole.take(np.arange(4, 9))
    )


def test_threshold_rounds_as_documented(seen):
    frames = np.zeros((1, 1920), np.float32)
    pixels = seen.good[:6]
    frames[0, pixels] = [20.9, 21.1, 50.9, 51.1, -40.0, 300.0]
    found = count_photons(frames, seen, Readout(adu_per_photon=30.0, threshold_photons=0.7))
    np.testing.assert_array_equal(found.pixel, pixels[[1, 2, 3, 5]])
    np.testing.assert_array_equal(found.count, [1, 1, 2, 10])


def test_saturation_clips_the_sum_of_a_pixel():
    photons = Photons(
        offsets=np.array([0, 3, 3, 6]),
        pixel=np.array([2, 2, 5, 5, 7, 7], np.int32),
        count=np.array([255, 100, 3, 4, 6, 7], np.int32),
    )
    clipped = saturate(photons, 300)
    np.testing.assert_array_equal(clipped.offsets, [0, 2, 2, 4])
    np.testing.assert_array_equal(clipped.pixel, [2, 5, 5, 7])
    np.testing.assert_array_equal(clipped.count, [300, 3, 4, 13])
    assert saturate(photons, 0) is photons


def test_the_mean_of_a_saturated_pixel_is_that_of_a_clipped_poisson(seen):
    mean, limit = 3.0, 4
    found = saturate(patterns(seen, 100, mean), limit)
    k = np.arange(limit)
    expected = (k * poisson.pmf(k, mean)).sum() + limit * poisson.sf(limit - 1, mean)
    values = 100 * len(seen.good)
    assert found.count.max() == limit
    assert found.count.sum() / values == pytest.approx(expected, abs=4 * 1.3 / np.sqrt(values))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"adu_per_photon": -1.0}, "adu_per_photon is -1"),
        ({"adu_per_photon": 30.0, "noise_adu": float("nan")}, "noise_adu is nan"),
        ({"offset_adu": float("inf")}, "offset_adu is inf"),
        ({"threshold_photons": 0.0}, "threshold_photons is 0.0; expected above 0 and at most 1"),
        ({"noise_adu": 3.0}, "give adu_per_photon"),
    ],
)
def test_impossible_readouts_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Readout(**settings)
