"""Predictions, and how well patterns fit them, against closed forms."""

import dataclasses

import numpy as np
import torch

from xraisim.core.random import generator
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.report_figures.patterns import comparison, deviation, score, used_pixels


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
        found = run.predict(pixels, np.array([3, 7, 11]))
    for row, (number, value) in enumerate(((3, 2e5), (7, 3e5))):
        expected = lumps.fluence[number] * pixels.gain * value + pixels.background
        assert torch.allclose(found[row], expected, rtol=1e-5)
    assert bool(found[2].isnan().all())


def test_deviations_of_true_rates_are_standard_normal():
    draw = generator(3, "rates")
    rate = torch.rand(4000, 150, generator=draw) ** 4
    shell = torch.arange(150) // 30
    counts = torch.poisson(rate, generator=draw)
    found = deviation(counts, rate, shell)
    assert abs(float(found.mean())) < 0.05  # its standard error is 0.016
    assert abs(float(found.std()) - 1) < 0.05
    assert float(deviation(counts, rate.flip(0), shell).median()) < -3
    assert float(deviation(counts, rate.sqrt(), shell).median()) > 1  # blurred
    # Neither brightness nor radial profile is judged.
    profile = torch.tensor([7.0, 3.0, 1.0, 0.2, 0.1])[shell]
    assert torch.allclose(deviation(counts, profile * rate, shell), found, atol=1e-3)
    assert bool(deviation(torch.zeros(1, 150), rate[:1], shell).isnan().all())


def test_the_worst_pattern_is_the_one_with_a_wrong_pose(predictor, lumps):
    predictor.orientations[123] = [0.5, 0.5, 0.5, 0.5]
    with PatternReader(lumps.patterns) as reader:
        scores = score(predictor, reader)
        figure = comparison(predictor, reader, scores)
    assert scores.numbers.tolist() == list(range(300))
    assert int(scores.deviation.argmin()) == 123
    others = np.delete(scores.deviation, 123)
    assert abs(others.mean()) < 0.2
    assert abs(others.std() - 1) < 0.15
    words = [axes.get_title() for axes in figure.axes]
    assert words[0] == f"worst: 123, {scores.photons[123]:,.0f} photons"
    assert words[1] == f"predicted, {scores.deviation[123]:+.1f} σ"
    assert words[2].startswith(f"best: {int(scores.deviation.argmax())}, ")
