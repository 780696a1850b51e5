"""The fit to sums: it climbs the likelihood of the patterns and reaches the closed form."""

import dataclasses

import pytest
import torch

from xrai.decoder import (
    DecoderConfig,
    FitConfig,
    ImplicitDecoder,
    VolumeConfig,
    fit_sums,
    profile_of,
)
from xraisim.core.closed_form import volume_from_sums
from xraisim.core.errors import ConfigError
from xraisim.core.fourier import crop_or_pad
from xraisim.core.fsc import intensity_correlation
from xraisim.core.random import generator
from xraisim.core.types import Volume

FIT = FitConfig(steps=300, batch=1024, learning_rate=1e-2)


@pytest.fixture(scope="module")
def particle(particle):
    """The middle of it: few speckles, so that a small network learns them quickly."""
    truth = particle.truth
    few = Volume(values=crop_or_pad(truth.values, 17), spacing=truth.spacing, kind="intensity")
    return dataclasses.replace(particle, truth=few)


def fresh(particle, sums) -> ImplicitDecoder:
    s_max = (particle.truth.grid // 2 - 2) * particle.truth.spacing
    config = DecoderConfig(features=96, width=64, oversampling=2.7)
    diameter = particle.diameter_angstrom
    return ImplicitDecoder(config, diameter, s_max, profile_of(sums), generator(0, "decoder"))


def inner_correlation(found: Volume, truth: Volume) -> float:
    assert found.grid == truth.grid
    return float(intensity_correlation(found.values, truth.values)[3:7].mean())


def test_the_fit_reaches_the_closed_form_on_easy_data(particle):
    sums = particle.sums(100.0)
    decoder = fresh(particle, sums)
    before = inner_correlation(decoder.volume(), particle.truth)
    fit_sums(decoder, sums, FIT, generator(0, "fit"))
    after = inner_correlation(decoder.volume(), particle.truth)
    closed = volume_from_sums(sums, particle.diameter_angstrom, VolumeConfig())
    assert before < 0.5
    assert after > 0.9
    assert after > inner_correlation(closed, particle.truth) - 0.1


def test_a_warm_start_goes_on_where_the_last_fit_ended(particle):
    sums = particle.sums(100.0)
    decoder = fresh(particle, sums)
    first = fit_sums(decoder, sums, FIT, generator(0, "fit"))
    short = dataclasses.replace(FIT, steps=25)
    cold = fit_sums(fresh(particle, sums), sums, short, generator(1, "fit"))
    warm = fit_sums(decoder, particle.sums(100.0, seed=1), short, generator(1, "fit"))
    assert warm < cold
    assert warm == pytest.approx(first, abs=0.5 * (cold - first))


def test_the_same_seed_gives_the_same_fit(particle):
    sums = particle.sums(10.0)
    config = dataclasses.replace(FIT, steps=5)
    made = []
    for _ in range(2):
        decoder = fresh(particle, sums)
        fit_sums(decoder, sums, config, generator(0, "fit"))
        made.append(decoder.volume().values)
    assert torch.equal(*made)


def test_settings_without_sense_are_refused():
    with pytest.raises(ConfigError):
        FitConfig(steps=0)
