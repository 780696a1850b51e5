"""What frees wrong poses that small steps leave: near-symmetric mates, and searching again."""

from dataclasses import replace

import pytest
import torch

from xrai.poses.finder import PoseFinder
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.mates import score_mates
from xrai.poses.refine import Poses, refine
from xrai.rounds.one_round import begin, run_round
from xrai.rounds.reconstruction import Reconstruction
from xrai.sources.stream import PatternStream
from xrai.state import checkpoint
from xrai.state.monitor import Monitor
from xrai.state.round import GLOBAL_SEARCH, REFINE, Round
from xraisim.core import rotations, so3
from xraisim.core.random import generator
from xraisim.core.symmetry import angle_modulo_mate, point_group


@pytest.fixture(scope="module")
def finished(quick_run):
    return quick_run[0]


def errors_after(kind, finished, patterns, config, tmp_path, share=4, stop=None):
    """Return how far poses are (degrees) from the finished run's: those once scrambled, the others.

    Every ``share``-th pose before ``stop`` is replaced by a random one; then comes one round of
    ``kind``.
    """
    state = checkpoint.load(finished)
    state.global_searches = 0
    before = state.column("orientations").clone()
    number = torch.arange(len(before))
    scrambled = (number % share == 0) & (number < (stop or len(before)))
    random = so3.haar(int(scrambled.sum()), generator(0, "scrambled"))
    state.columns["orientations"][: len(before)][scrambled] = random
    with PatternStream(patterns, config.block, config.memory_gib) as stream:
        finder = PoseFinder(stream, config, torch.device("cpu"))
        limit = finder.s_edge
        round_ = Round(
            number=state.rounds + 1, kind=kind, first=0, stop=state.seen, s_now=limit, s_next=limit
        )
        run = Reconstruction(finder, state, Monitor(tmp_path / "m", quiet=True)).at(round_)
        begin(run)
        run_round(run, lambda _: None)
    off = angle_modulo_mate(state.column("orientations"), before)
    return off[scrambled], off[~scrambled], state


def test_wrong_poses_are_found_again_and_right_ones_stay(
    finished, patterns, quick_config, tmp_path
):
    once_wrong, held, state = errors_after(
        GLOBAL_SEARCH, finished, patterns, quick_config, tmp_path
    )
    assert (once_wrong < 10).float().mean() > 0.7
    assert held.median() < 1
    assert (held < 10).float().mean() > 0.9
    assert (state.global_searches, state.stalled) == (1, 0)


def test_small_steps_alone_leave_them_wrong(finished, patterns, quick_config, tmp_path):
    once_wrong, _, state = errors_after(REFINE, finished, patterns, quick_config, tmp_path)
    assert (once_wrong < 10).float().mean() < 0.2
    assert state.global_searches == 0
    assert state.rivals > 0.1, "which a probe notices"


def test_a_probe_finds_nothing_where_poses_are_right(finished, patterns, quick_config, tmp_path):
    _, _, state = errors_after(REFINE, finished, patterns, quick_config, tmp_path, share=1000)
    assert state.rivals < 0.1


def test_a_probe_is_from_all_over_a_round(finished, patterns, quick_config, tmp_path):
    """Wrong poses of the patterns that came first are noticed, whatever the last block has."""
    blocks = replace(quick_config, block=200)
    _, _, state = errors_after(REFINE, finished, patterns, blocks, tmp_path, share=1, stop=400)
    assert 0.2 < state.rivals < 0.7


def test_a_pose_searched_again_has_to_be_likelier(finished, patterns, quick_config, tmp_path):
    coarse = replace(quick_config, search=replace(quick_config.search, rotations=10, hypotheses=1))
    _, held, _ = errors_after(GLOBAL_SEARCH, finished, patterns, coarse, tmp_path)
    assert (held < 10).float().mean() > 0.9


@pytest.fixture(scope="module")
def posed(finished, patterns, quick_config):
    """Return a likelihood, steps, and refined poses that are likelier than their mates."""
    state = checkpoint.load(finished)
    with PatternStream(patterns, quick_config.block, quick_config.memory_gib) as stream:
        finder = PoseFinder(stream, quick_config, torch.device("cpu"))
        rows, photons = next(iter(stream.blocks()))
        likelihood = PoseLikelihood(state.require_volume(), finder.pixels, photons)
        steps = finder.steps(finder.s_edge, 4)
        held = refine(likelihood, state.columns["orientations"][rows], steps)
        return likelihood, steps, score_mates(likelihood, held, steps)


def test_a_mate_that_was_taken_for_the_pose_is_set_right(posed):
    likelihood, steps, best = posed
    wrong = refine(likelihood, so3.in_plane_mate(best.quaternion), replace(steps, count=2))
    found = score_mates(likelihood, wrong, steps)
    sure = best.mate_margin > 1
    assert sure.float().mean() > 0.5
    angle = torch.rad2deg(rotations.angle_between(found.quaternion, best.quaternion))
    assert (angle[sure] < 5).float().mean() > 0.95
    assert (found.loglik >= wrong.loglik).all()
    assert (found.mate_margin >= 0).all()


def test_what_is_decided_is_left_alone(posed):
    likelihood, steps, best = posed
    wrong = refine(likelihood, so3.in_plane_mate(best.quaternion), replace(steps, count=2))
    decided = torch.arange(len(wrong.loglik)) % 2 == 0
    margin = torch.where(decided, 25.0, 0.0).double()
    found = score_mates(likelihood, replace(wrong, mate_margin=margin), steps)
    assert torch.equal(found.quaternion[decided], wrong.quaternion[decided])
    assert torch.equal(found.mate_margin[decided], margin[decided])
    assert not torch.equal(found.quaternion[~decided], wrong.quaternion[~decided])


def test_equivalent_poses_of_a_point_group_are_not_elsewhere(patterns, quick_config):
    group = point_group("O").float()
    pose = so3.haar(len(group), generator(3, "equivalent"))
    equivalent = rotations.multiply(pose, group)
    with PatternStream(patterns, quick_config.block, quick_config.memory_gib) as stream:
        for symmetry, expected in (("O", 0), ("C1", len(group) - 1)):
            finder = PoseFinder(
                stream, replace(quick_config, symmetry=symmetry), torch.device("cpu")
            )
            assert len(finder.elsewhere(equivalent, pose, finder.s_edge)) == expected


def test_poses_are_chosen_pattern_by_pattern():
    def poses(value, loglik):
        return Poses(
            torch.full((3, 4), value), torch.tensor(loglik), torch.full((3,), value),
            torch.full((3,), value),
        )  # fmt: skip

    left, right = poses(1.0, [0.0, 5.0, 2.0]), poses(2.0, [1.0, 4.0, 2.0])
    better = left.better(right)
    assert better.loglik.tolist() == [1, 5, 2]
    for column in (better.quaternion[:, 0], better.error_rad, better.mate_margin):
        assert column.tolist() == [2, 1, 1], "of two alike the one held stays"
