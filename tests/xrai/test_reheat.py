"""Searching again from nothing: it frees poses that small steps would leave where they are."""

from dataclasses import replace

import pytest
import torch

from xrai import checkpoint
from xrai.march import March
from xrai.monitor import Monitor
from xrai.one_round import begin, run_round
from xrai.poses import angle_modulo_mate
from xrai.rounds import MARCH, REHEAT, Round
from xrai.stream import PatternStream
from xrai.train import train
from xraisim.core import so3
from xraisim.core.random import generator


@pytest.fixture(scope="module")
def finished(patterns, quick_config, tmp_path_factory):
    directory = tmp_path_factory.mktemp("reheat") / "run"
    train(patterns, directory, quick_config, quiet=True)
    return directory


def errors_after(kind, finished, patterns, config, tmp_path):
    """Return how far poses are (degrees) from the finished run's: those once scrambled, the others.

    Every fourth pose is replaced by a random one; then comes one round of ``kind``.
    """
    state = checkpoint.load(finished)
    before = state.column("orientations").clone()
    scrambled = torch.arange(len(before)) % 4 == 0
    random = so3.haar(int(scrambled.sum()), generator(0, "scrambled"))
    state.columns["orientations"][: len(before)][scrambled] = random
    with PatternStream(patterns, config.block, config.memory_gib) as stream:
        march = March(stream, config, torch.device("cpu"))
        limit = march.s_edge
        round_ = Round(
            number=state.rounds + 1, kind=kind, first=0, stop=state.seen, s_now=limit, s_next=limit
        )
        begin(march, state, round_)
        run_round(march, state, round_, Monitor(tmp_path / "m", quiet=True), lambda _: None)
    off = angle_modulo_mate(state.column("orientations"), before)
    return off[scrambled], off[~scrambled], state


def test_wrong_poses_are_found_again_and_right_ones_stay(
    finished, patterns, quick_config, tmp_path
):
    once_wrong, held, state = errors_after(REHEAT, finished, patterns, quick_config, tmp_path)
    assert (once_wrong < 10).float().mean() > 0.7
    assert held.median() < 1
    assert (held < 10).float().mean() > 0.9
    assert (state.reheats, state.stalled) == (1, 0)


def test_small_steps_alone_leave_them_wrong(finished, patterns, quick_config, tmp_path):
    once_wrong, _, state = errors_after(MARCH, finished, patterns, quick_config, tmp_path)
    assert (once_wrong < 10).float().mean() < 0.2
    assert state.reheats == 0


def test_a_pose_searched_again_has_to_be_likelier(finished, patterns, quick_config, tmp_path):
    coarse = replace(quick_config, search=replace(quick_config.search, rotations=10, hypotheses=1))
    _, held, _ = errors_after(REHEAT, finished, patterns, coarse, tmp_path)
    assert (held < 10).float().mean() > 0.9
