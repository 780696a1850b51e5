"""What a run keeps between iterations."""

from dataclasses import fields, is_dataclass

import pytest
import torch

from baselines.emc import checkpoint
from baselines.emc.checkpoint import State
from baselines.emc.iterate import Estimate, Records
from baselines.emc.models import Model
from xraisim.core.errors import FormatError, UserError
from xraisim.core.types import Volume

CPU = torch.device("cpu")


def _state():
    draw = torch.Generator().manual_seed(0)
    volume = Volume(values=torch.rand(5, 5, 5, generator=draw), spacing=0.01, kind="intensity")
    models = [Model(volume=volume, share=0.7), Model(volume=volume, share=0.3, isotropic=True)]
    estimate = Estimate(models=models, fluence=torch.rand(9, generator=draw), known=0.02)
    poses = Records.empty(9)
    poses.best[3] = torch.tensor([4, 2])
    return State(
        key="k", stage=2, iteration=5, estimates=[estimate, estimate], poses=poses, poses_level=1,
        evidence=1.5, reached=1.7, gain=1e-3, beta=0.3, starts=[1.0, 1.1], leader=[estimate],
        leader_poses=poses, lines=7, seconds=3.5,
    )  # fmt: skip


def _same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if is_dataclass(a):
        return type(a) is type(b) and all(
            _same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)
        )
    return a == b


def test_everything_comes_back(tmp_path):
    state = _state()
    checkpoint.save(state, tmp_path)
    assert _same(checkpoint.load(tmp_path, "k", CPU), state)
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.NAME]


def test_a_new_state_comes_back_too(tmp_path):
    checkpoint.save(State(key="k"), tmp_path)
    assert _same(checkpoint.load(tmp_path, "k", CPU), State(key="k"))


def test_what_cannot_be_resumed_is_refused(tmp_path):
    with pytest.raises(FormatError, match="nothing to resume"):
        checkpoint.load(tmp_path, "k", CPU)
    checkpoint.save(_state(), tmp_path)
    with pytest.raises(UserError, match="other patterns or settings"):
        checkpoint.load(tmp_path, "another", CPU)
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FormatError, match="not a readable checkpoint"):
        checkpoint.load(tmp_path, "k", CPU)
    torch.save({"format": "of another time"}, path)
    with pytest.raises(FormatError, match="expected an x-rai emc checkpoint"):
        checkpoint.load(tmp_path, "k", CPU)
