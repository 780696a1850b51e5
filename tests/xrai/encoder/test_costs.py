"""What the encoder and its proposals cost, counted."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from xrai.encoder import Encoder
from xrai.poses.hypotheses import EncoderHypotheses


def test_the_encoder_counts_its_multiply_adds_as_torch_does(make_pixels, small):
    encoder = Encoder(make_pixels(24), small)
    circle = torch.rand(small.azimuths, 3, encoder.pattern.channels)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder.views(encoder.trunk(circle))
    # Torch counts two operations per multiply-add.
    assert encoder.multiply_adds == counter.get_total_flops() / 2 / 3


def test_the_cost_of_hypotheses_grows_with_the_pixels(make_pixels, small, volume):
    few, many = make_pixels(12), make_pixels(24)
    encoder = Encoder(many, small)
    cheap, dear = (EncoderHypotheses(volume, one, encoder, many).cost for one in (few, many))
    assert dear > cheap > encoder.multiply_adds


@pytest.mark.parametrize("name", ["azimuths", "directions", "channels"])
def test_a_larger_network_costs_more(make_pixels, small, name):
    pixels = make_pixels(24)
    larger = replace(small, **{name: 2 * getattr(small, name)})
    assert Encoder(pixels, larger).multiply_adds > Encoder(pixels, small).multiply_adds
