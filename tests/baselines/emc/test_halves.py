"""Two half-sets."""

from dataclasses import replace

import pytest
import torch

from baselines.emc.halves import combined, half_members, half_resolution
from baselines.emc.iterate import Estimate
from baselines.emc.models import Model


def _estimate(volume, fluence):
    return Estimate(models=[Model(volume=volume, share=1.0)], fluence=fluence, known=0.05)


def test_members_are_every_other_chosen_pattern():
    chosen = torch.tensor([True, True, False, True, True])
    (whole,) = half_members(chosen, 1)
    assert whole.equal(chosen)
    first, second = half_members(chosen, 2)
    assert first.tolist() == [True, False, False, False, True]
    assert (first | second).equal(chosen)
    assert not (first & second).any()


def test_the_resolution_is_where_halves_cease_to_agree(cube, pixels):
    """Noise from a shell on: the crossing is there; without, the edge is reached."""
    edge, ones = float(pixels.radius[-1]), torch.ones(3)
    axis = (torch.arange(cube.grid) - cube.grid // 2) * cube.spacing
    s = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    draw = torch.Generator().manual_seed(0)
    noise = [torch.rand(s.shape, generator=draw) for _ in range(2)]
    halves = [
        _estimate(replace(cube, values=torch.where(s < 0.6 * edge, cube.values, n)), ones)
        for n in noise
    ]
    found = half_resolution(halves, edge)
    assert 1 / found.angstrom == pytest.approx(0.6 * edge, rel=0.15)
    alike = half_resolution([halves[0], halves[0]], edge)
    assert alike.reached_edge
    assert alike.angstrom == pytest.approx(1 / edge, rel=0.1)
    assert half_resolution(halves[:1], edge) is None


def test_combined_is_the_mean_volume_and_each_patterns_own_fluence(cube):
    chosen = torch.tensor([True, True, True, False])
    first = _estimate(cube, torch.tensor([1.0, 0.0, 3.0, 0.0]))
    second = _estimate(replace(cube, values=3 * cube.values), torch.tensor([0.0, 2.0, 0.0, 0.0]))
    found = combined([first, second], chosen)
    torch.testing.assert_close(found.models[0].volume.values, 2 * cube.values)
    assert found.fluence.tolist() == [1.0, 2.0, 3.0, 0.0]
    assert combined([first], chosen).fluence.equal(first.fluence)
