"""What EMC asks of the patterns before it begins, and what it does where they are too few."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.emc.checkpoint import State
from baselines.emc.config import EmcConfig, Level
from baselines.emc.door import first_with_photons, require_patterns
from baselines.emc.inputs import Inputs
from baselines.emc.reconstruction import Reconstruction
from xraisim.core.errors import SamplingError

PATTERNS = 40
LEVEL = Level(reach=3.0, rotations=60, iterations=2)
CONFIG = EmcConfig(levels=(LEVEL,), restarts=1, block_patterns=8)


@pytest.fixture(scope="module")
def source(particle, pixels, patterns_of):
    return patterns_of(particle, pixels, PATTERNS, 100)


def _lit_only(source, numbers):
    """The same file in which all patterns but ``numbers`` are dark."""
    lit = np.isin(np.arange(PATTERNS), numbers)
    keep = lit[source.photons.rows()]
    ends = np.cumsum(np.where(lit, np.diff(source.photons.offsets), 0))
    photons = replace(
        source.photons,
        offsets=np.concatenate([[0], ends]),
        pixel=source.photons.pixel[keep],
        count=source.photons.count[keep],
    )
    return replace(source, photons=photons)


def _every():
    return torch.ones(PATTERNS, dtype=torch.bool)


def _inputs(source):
    return Inputs(source, CONFIG, _every(), torch.device("cpu"))


def test_a_speckle_must_be_looked_at_once(source):
    """At three speckles' reach three patterns are the least, twice as many for two half-sets."""
    require_patterns(_lit_only(source, [5, 20, 39]), CONFIG, _every())
    with pytest.raises(SamplingError, match=r"only 2 of 40 patterns have photons .* 3 or more"):
        require_patterns(_lit_only(source, [5, 20]), CONFIG, _every())
    halves = replace(CONFIG, levels=(LEVEL, LEVEL), halves=True)
    with pytest.raises(SamplingError, match=r"only 3 of 40 patterns .* 6 or more"):
        require_patterns(_lit_only(source, [5, 20, 39]), halves, _every())
    require_patterns(_lit_only(source, [5]), replace(CONFIG, symmetry="D3"), _every())


def test_patterns_without_any_photon_are_refused(source, tmp_path):
    dark = _lit_only(source, [])
    with pytest.raises(SamplingError, match="none of 40 patterns has photons"):
        Reconstruction(_inputs(dark), State(key=""), tmp_path).run()


def test_a_level_of_few_patterns_takes_the_first_with_photons(source):
    """A stretch of dark shots at the beginning must not be all that a start is given."""
    late = _lit_only(source, range(30, 40))
    found = first_with_photons(late, CONFIG, _every(), 4)
    assert found.nonzero()[:, 0].tolist() == [30, 31, 32, 33]
    odd = torch.arange(PATTERNS) % 2 == 1
    assert first_with_photons(late, CONFIG, odd, 9).nonzero()[:, 0].tolist() == [31, 33, 35, 37, 39]


def test_a_volume_that_diverges_ends_with_a_message(source, tmp_path, monkeypatch):
    def diverged(*arguments):
        estimate, poses, beta = iterate(*arguments)
        return estimate, replace(poses, evidence=poses.evidence * torch.nan), beta

    from baselines.emc.iterate import iterate

    monkeypatch.setattr("baselines.emc.reconstruction.iterate", diverged)
    begun = Reconstruction(_inputs(source), State(key=""), tmp_path)
    with pytest.raises(SamplingError, match=r"diverged at .*level 1, iteration 1.*40 patterns"):
        begun.run()
    assert (tmp_path / "metrics.jsonl").read_text() == ""
