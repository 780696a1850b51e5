"""First volumes of a nearly round particle, and the sign of what is not round about them."""

from dataclasses import replace

import pytest
import torch

from benchmarks.studies.virus_twin.compare import structure_factors
from benchmarks.studies.virus_twin.pr772 import SETTINGS
from benchmarks.studies.virus_twin.settings import load
from xrai.poses.finder import PoseFinder
from xrai.rounds.sign_test import likelier_sign, opposite
from xrai.sources.stream import PatternStream
from xraisim.core.fourier import coordinates, radius
from xraisim.core.types import Volume
from xraisim.photons.hits import Hits
from xraisim.simulation import make


def test_the_opposite_has_the_other_angular_part_and_the_same_radial_one():
    x, y, _ = coordinates(31, 0.01).unbind(-1)
    r = radius(31, 0.01)
    log_profile, radial = -300 * r**2, torch.cos((r / 0.01).round())
    angular = x * y / r.clamp_min(1e-6) ** 2
    volume = Volume(values=(log_profile + radial + angular).exp(), spacing=0.01, kind="intensity")
    found = opposite(volume, log_profile).values.log() - log_profile
    torch.testing.assert_close(found, radial - angular, rtol=0, atol=1e-3)
    again = opposite(opposite(volume, log_profile), log_profile)
    torch.testing.assert_close(again.values, volume.values, rtol=1e-4, atol=0)


@pytest.fixture(scope="module")
def virus(tmp_path_factory):
    """The twin's march over 300 clean patterns, and the truth with the profile it varies about."""
    settings = load(SETTINGS)
    path = tmp_path_factory.mktemp("virus") / "patterns.h5"
    make.simulate(replace(settings.simulate, patterns=300, hits=Hits()), path)
    with PatternStream(path, 300, 1.0) as stream:
        finder = PoseFinder(stream, settings.xrai, torch.device("cpu"))
        ((_, photons),) = stream.blocks(0, 300)
        diameter = stream.diameter_angstrom
        grid, spacing = 33, 1 / (2.5 * diameter)
        values = structure_factors(settings.body, grid, spacing).abs().square().float()
        values = values.clamp_min(1e-5 * float(values.max()))
        yield finder, photons, Volume(values=values, spacing=spacing, kind="intensity")


def test_a_trial_tells_which_sign_is_right(virus):
    finder, photons, truth = virus
    flat = torch.zeros_like(truth.values)
    wrong = opposite(truth, flat)
    kept, turned = likelier_sign(finder, truth, flat, photons)
    assert not turned
    assert kept is truth
    righted, turned = likelier_sign(finder, wrong, flat, photons)
    assert turned
    torch.testing.assert_close(righted.values, truth.values, rtol=1e-2, atol=0)
