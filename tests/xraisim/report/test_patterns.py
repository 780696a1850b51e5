"""Predictions, and how well patterns fit them, against closed forms."""

import dataclasses

import numpy as np
import torch

from xraisim.core.misfit import goodness
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.report.patterns import comparison, score, used_pixels


def test_the_prediction_is_the_formula(predictor, lumps):
    """Of constant volumes: φ · gain · V + background, by class; NaN without a volume."""
    flat = {
        number: Volume(
            values=torch.full((31, 31, 31), value), spacing=lumps.volume.spacing, kind="intensity"
        )
        for number, value in ((1, 2e5), (2, 3e5))
    }
    classes = np.arange(300) % 3 + 1
    run = dataclasses.replace(predictor, volumes=flat, class_id=classes)
    with PatternReader(lumps.patterns) as reader:
        pixels = used_pixels(run, reader)
        numbers = np.array([3, 7, 11])
        found = run.predict(pixels, numbers, run.fluence[numbers])
    for row, (number, value) in enumerate(((3, 2e5), (7, 3e5))):
        expected = lumps.fluence[number] * pixels.gain * value + pixels.background
        assert torch.allclose(found[row], expected, rtol=1e-5)
    assert bool(found[2].isnan().all())


def test_there_is_one_measure_of_fit(predictor, lumps):
    """That of the reconstructions; none of a pattern without photons or without a pose."""
    predictor.orientations[5] = np.nan
    with PatternReader(lumps.patterns) as reader:
        pixels, photons = used_pixels(predictor, reader), reader.read(0, 10)
        photons = photons.take(np.arange(10))
        photons.count[photons.offsets[3] : photons.offsets[4]] = 0
        found = predictor.fit(pixels, photons, np.arange(10)).misfit
        expected = goodness(lumps.volume, pixels, photons, lumps.poses[:10]).misfit.numpy()
    known = ~np.isin(np.arange(10), [3, 5])
    assert np.isfinite(found).tolist() == known.tolist()
    np.testing.assert_allclose(found[known], expected[known])


def test_the_worst_pattern_is_the_one_with_a_wrong_pose(predictor, lumps):
    predictor.orientations[123] = [0.5, 0.5, 0.5, 0.5]
    with PatternReader(lumps.patterns) as reader:
        scores = score(predictor, reader)
        figure = comparison(predictor, reader, scores)
    assert scores.numbers.tolist() == list(range(300))
    assert int(scores.misfit.argmax()) == 123
    others = np.delete(scores.misfit, 123)
    assert abs(others.mean()) < 0.2
    assert abs(others.std() - 1) < 0.15
    words = [axes.get_title() for axes in figure.axes]
    assert words[0] == f"worst: 123, {scores.photons[123]:,.0f} photons"
    assert words[1] == f"predicted, {scores.misfit[123]:+.1f} σ"
    assert words[2].startswith(f"best: {int(scores.misfit.argmin())}, ")


def test_a_fluence_that_nobody_told_is_fitted(predictor, lumps):
    told = predictor.fluence.copy()
    predictor.fluence[::2] = np.nan
    with PatternReader(lumps.patterns) as reader:
        found = score(predictor, reader).fluence
    np.testing.assert_array_equal(found[1::2], told[1::2])
    assert np.abs(found[::2] / told[::2] - 1).mean() < 0.06  # 400 photons: 5 %


def test_a_blurred_volume_and_a_foreign_pattern_fit_worse(predictor, lumps):
    """Both make the misfit larger, as the caption says."""
    volume = lumps.volume
    kernel = torch.ones(1, 1, 5, 5, 5) / 125
    blurred = torch.nn.functional.conv3d(volume.values[None, None], kernel, padding=2)[0, 0]
    with PatternReader(lumps.patterns) as reader:
        sharp = np.median(score(predictor, reader).misfit)
        dull = dataclasses.replace(
            predictor, volumes={0: dataclasses.replace(volume, values=blurred.contiguous())}
        )
        foreign = dataclasses.replace(predictor, orientations=predictor.orientations[::-1].copy())
        assert np.median(score(dull, reader).misfit) > sharp + 0.5
        assert np.median(score(foreign, reader).misfit) > sharp + 0.5
