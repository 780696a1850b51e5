"""What is in a run's checkpoint, in this version and the one before."""

import pytest
import torch

from xrai.state import checkpoint
from xrai.state.round import Round
from xrai.state.state import State, TypicalFit
from xraisim.core.errors import FormatError
from xraisim.core.fsc import Resolution
from xraisim.core.merge import Accumulator
from xraisim.core.types import Volume

_FIT = TypicalFit(misfit=(1.0, 0.5), unexplained=(0.03, 0.01))
_ROUND = Round(number=4, kind="refine", first=0, stop=9, s_now=0.02, s_next=0.03)


@pytest.fixture
def state():
    """A state within a round, with something in every field."""
    volume = Volume(values=torch.rand(5, 5, 5), spacing=0.01, kind="intensity")
    state = State(
        patterns="p.h5", extent={"particle_diameter_angstrom": 100.0}, fingerprint=(9, "f"),
        seen=9, volumes=[volume, volume], volume=volume, sums=[Accumulator.empty(5, 0.01)] * 2,
        round=_ROUND, position=4, rounds=3, limit=0.02, agreed=0.03, rivals=0.1,
        resolution=Resolution(rule="icc_half_0.143", angstrom=30.0), global_searches=2,
        typical_fit=_FIT, trainer={"steps": 3}, proposing="encoder", figures={"a": 1.0},
        seconds={"start": 1.0}, warnings=["w"],
    )  # fmt: skip
    state.grow(9)
    return state


def as_version_3(content):
    """Return what the version before would have written."""
    former = {"trainer": "teacher", "typical_fit": "usual", "global_searches": "reheats"}
    old = {former.get(name, name): value for name, value in content.items()}
    old["format"] = "x-rai checkpoint 3"
    old["proposing"], old["round"]["kind"] = "heads", "march"
    for name in ("resolution", "cells_ranked", "cells_gap"):
        del old[name]
    return old


def test_everything_comes_back(state, tmp_path):
    checkpoint.save(state, tmp_path)
    found = checkpoint.load(tmp_path)
    assert found.round == _ROUND
    assert found.typical_fit == _FIT
    assert found.resolution == state.resolution
    assert torch.equal(found.volumes[1].values, state.volumes[1].values)
    assert (found.position, found.global_searches, found.proposing) == (4, 2, "encoder")


def test_the_version_before_is_read_under_its_own_names(state, tmp_path):
    checkpoint.save(state, tmp_path)
    path = tmp_path / checkpoint.NAME
    torch.save(as_version_3(torch.load(path, weights_only=True)), path)
    found = checkpoint.load(tmp_path)
    assert found.round == _ROUND
    assert found.typical_fit == _FIT
    assert found.resolution is None
    assert (found.global_searches, found.proposing) == (2, "encoder")
    assert found.trainer == {"steps": 3}


def test_cells_that_the_version_before_had_chosen_are_read(state, tmp_path):
    checkpoint.save(state, tmp_path)
    path = tmp_path / checkpoint.NAME
    old = as_version_3(torch.load(path, weights_only=True)) | {"proposing": "12/3.5"}
    torch.save(old, path)
    found = checkpoint.load(tmp_path)
    assert (found.proposing, found.cells_ranked, found.cells_gap) == ("encoder", 12, 3.5)


def test_a_version_to_come_is_refused(state, tmp_path):
    checkpoint.save(state, tmp_path)
    path = tmp_path / checkpoint.NAME
    torch.save(torch.load(path, weights_only=True) | {"format": "x-rai checkpoint 5"}, path)
    with pytest.raises(FormatError, match=r"checkpoint 5; this program reads .* 3 to 4"):
        checkpoint.load(tmp_path)
