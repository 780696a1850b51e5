"""Which round follows which, what tells outliers, and what two halves say."""

import math
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from xrai.config import RoundsConfig, TrainConfig
from xrai.poses.finder import ladder
from xrai.rounds import outliers
from xrai.rounds.schedule import next_round
from xrai.rounds.warnings import warnings_of
from xrai.state.state import State
from xraisim.core.errors import ConfigError
from xraisim.core.halves import agreement, members
from xraisim.core.merge import Accumulator
from xraisim.core.processes import ALONE
from xraisim.core.random import generator
from xraisim.core.types import Volume

S_SEARCH, S_EDGE = 0.02, 0.03


class Stream(SimpleNamespace):
    """A stream that gets its patterns at once, as far as the planning can see."""

    def __len__(self):
        return self.patterns

    def wait_for(self, count):
        return min(count, self.patterns)

    def keeps(self, count):
        return count <= self.in_memory


def finder_of(patterns, *, rereadable=True, ended=True, in_memory=0, **settings):
    config = TrainConfig(**settings)
    stream = Stream(
        patterns=patterns, rereadable=rereadable, ended=ended, in_memory=in_memory,
        diameter_angstrom=300.0,
    )  # fmt: skip
    return SimpleNamespace(
        stream=stream,
        config=config,
        s_search=S_SEARCH,
        s_edge=S_EDGE,
        sets=2,
        group=None,
        processes=ALONE,
        at_rest=lambda turned_deg, s: math.radians(turned_deg) < 0.1 / (s * 300.0),
    )


def worked(state, round_, agreed=S_EDGE, turned=0.1, rivals=0.0):
    """Return the state after a round whose halves agree to ``agreed``."""
    moved = round_.s_now > 1.01 * state.limit
    return replace(
        state,
        rounds=round_.number,
        seen=max(state.seen, round_.stop),
        limit=round_.s_now if round_.kind != "final" else state.limit,
        agreed=agreed,
        turned=turned,
        stalled=state.stalled + 1 if round_.kind == "refine" and not moved else 0,
        global_searches=state.global_searches + (round_.kind == "global_search"),
        rivals=rivals if round_.kind == "refine" else None,
        finals=state.finals + (round_.kind == "final"),
    )


def all_rounds(finder, agreed=S_EDGE, rivals=0.0):
    state, found = State(patterns="", extent={}), []
    while (following := next_round(finder, state)) is not None:
        found.append(following)
        state = worked(state, following, agreed, rivals=rivals)
        assert len(found) < 200
    return found


def test_a_small_data_set_is_searched_then_refined_then_finished():
    found = all_rounds(finder_of(5000))
    kinds = [one.kind for one in found]
    assert kinds[0] == "online"
    assert kinds[-2:] == ["final", "final"]
    assert set(kinds[1:-2]) == {"refine"}
    assert (found[0].first, found[0].stop, found[0].s_now) == (0, 5000, S_SEARCH)
    limits = [one.s_now for one in found]
    assert limits == sorted(limits)
    assert limits[-1] == S_EDGE
    assert found[-1].s_next == S_EDGE


def test_without_final_rounds_the_limit_still_marches():
    finder = finder_of(5000)
    finder.config = replace(finder.config, rounds=replace(finder.config.rounds, final=0))
    found = all_rounds(finder)
    assert found[-1].kind == "refine"
    assert found[-1].s_now == S_EDGE


def test_several_rounds_of_new_patterns_are_no_standstill():
    kinds = [one.kind for one in all_rounds(finder_of(30_000))]
    assert kinds[:4] == ["online"] * 4
    assert kinds[4] == "refine"
    assert kinds.count("refine") > 3


def test_the_limit_stays_where_the_halves_agree_and_the_run_still_ends():
    found = all_rounds(finder_of(5000), agreed=0.024)
    assert max(one.s_now for one in found) == 0.024
    assert found[-1].kind == "final"
    assert len(found) < 12


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_all_are_searched_again_as_often_as_a_probe_asks_for_it(wanted):
    finder = finder_of(5000, rounds=RoundsConfig(global_searches=wanted))
    found = all_rounds(finder, rivals=0.2)
    kinds = [one.kind for one in found]
    assert kinds.count("global_search") == wanted
    assert kinds[-2:] == ["final", "final"]
    assert all(before == "refine" for before, after in pairwise(kinds) if after == "global_search")
    assert all(after == "refine" for before, after in pairwise(kinds) if before == "global_search")
    assert all((one.first, one.stop) == (0, 5000) for one in found)


def test_a_few_rivals_are_no_reason_to_search_again():
    assert "global_search" not in {one.kind for one in all_rounds(finder_of(5000), rivals=0.01)}


def test_a_long_stream_is_read_once_and_older_sums_fade_while_the_limit_moves():
    finder = finder_of(300_000, rounds=RoundsConfig(patterns=8192))
    found = all_rounds(finder)
    assert {one.kind for one in found} == {"online"}
    assert [one.first for one in found[1:]] == [one.stop for one in found[:-1]]
    assert found[-1].stop == 300_000
    assert found[0].keep == 0
    assert found[1].keep == 0.5
    assert found[-1].keep == 1
    assert found[-1].s_now == S_EDGE


@pytest.mark.parametrize("settings", [{"single_pass": True}, {"rereadable": False}])
def test_what_cannot_or_must_not_be_read_again_is_read_once(settings):
    found = all_rounds(finder_of(20_000, block=1024, **settings))
    assert {one.kind for one in found} == {"online"}
    assert len(found) >= 4


@pytest.mark.parametrize(
    ("rereadable", "in_memory", "again"), [(True, 0, True), (False, 5000, True), (False, 0, False)]
)
def test_what_was_posed_too_early_is_located_again_where_it_can_be_had(
    rereadable, in_memory, again
):
    finder = finder_of(20_000, rereadable=rereadable, in_memory=in_memory, single_pass=True)
    state = State(patterns="", extent={}, seen=20_000, rounds=9, limit=0.027, early=4096)
    found = next_round(finder, state)
    if again:
        assert (found.kind, found.first, found.stop) == ("relocate", 0, 4096)
        assert (found.number, found.s_now) == (10, 0.027)
    else:
        assert found is None
    assert next_round(finder, replace(state, early=0)) is None


def test_what_stays_early_has_no_orientation():
    state = State(patterns="", extent={})
    state.grow(5)
    state.columns["orientations"][:] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    state = replace(state, seen=5, early=2)
    lost = state.outcome()["orientations"].isnan().all(1)
    assert lost.tolist() == [True, True, False, False, False]


def test_settings_out_of_range_are_refused():
    for bad in ({"ratio": 1.0}, {"keep": 1.5}, {"patterns": 0}, {"final": -1}):
        with pytest.raises(ConfigError, match=f"rounds.{next(iter(bad))} is .*; expected"):
            TrainConfig(rounds=RoundsConfig(**bad))
    with pytest.raises(ConfigError, match="unknown point group"):
        TrainConfig(symmetry="X7")


def test_every_pattern_belongs_to_one_half_whatever_the_blocks():
    whole = members(slice(0, 10), 2)
    parts = [[one + rows.start for one in members(rows, 2)] for rows in (slice(0, 3), slice(3, 10))]
    for which in (0, 1):
        assert torch.equal(whole[which], torch.cat([part[which] for part in parts]))
    assert torch.equal(torch.cat(whole).sort().values, torch.arange(10))
    assert torch.equal(members(slice(3, 6), 1)[0], torch.arange(3))


def volumes_with_noise_beyond(s_true):
    """Return two volumes that share their speckles to ``s_true`` and are noise beyond."""
    random, grid, spacing = generator(0, "halves"), 41, 0.001
    axis = (torch.arange(grid) - grid // 2) * spacing
    radius = torch.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    common = torch.rand(grid, grid, grid, generator=random)
    parts = [torch.rand(grid, grid, grid, generator=random) for _ in range(2)]
    return [
        Volume(
            values=torch.where(radius < s_true, common + 0.1 * part, part),
            spacing=spacing,
            kind="intensity",
        )
        for part in parts
    ]


def test_halves_agree_as_far_as_they_share_speckles():
    found = agreement(volumes_with_noise_beyond(0.012), 0.003, 0.019)
    assert found.s_agreed == pytest.approx(0.012, abs=0.001)
    assert found.resolution.angstrom == pytest.approx(1 / found.s_agreed)
    assert not found.resolution.reached_edge
    assert agreement(volumes_with_noise_beyond(0.03), 0.003, 0.019).resolution.reached_edge
    nowhere = agreement(volumes_with_noise_beyond(0.0), 0.003, 0.019)
    assert (nowhere.resolution.angstrom, nowhere.s_agreed) == (None, 0.0)
    assert agreement(volumes_with_noise_beyond(0.03)[:1], 0.003, 0.019) is None


def test_sums_together_are_those_of_all():
    sums = [Accumulator.empty(5, 0.1), Accumulator.empty(5, 0.1)]
    sums[0].photons += 2
    sums[1].photons += 3
    sums[1].exposure += 1
    both = Accumulator.total(sums)
    assert float(both.photons[0, 0, 0]) == 5
    assert float(both.exposure[0, 0, 0]) == 1


def test_outliers_lose_their_weight_and_hits_keep_it():
    random = generator(1, "misfit")
    hits, junk = torch.randn(600, generator=random) + 2, 40 + torch.randn(300, generator=random)
    share = torch.cat([0.03 + 0.02 * torch.randn(600, generator=random), torch.full((300,), 0.8)])
    known = outliers.typical_fit(torch.cat([hits, junk]), share)
    assert known.misfit[0] == pytest.approx(2.6, abs=0.4)
    assert float(outliers.weights(hits, share[:600], known).mean()) > 0.95
    assert float(outliers.weights(junk, share[600:], known).max()) == 0
    assert float(outliers.weights(junk, share[600:], None).min()) == 1


def test_bright_hits_and_faint_ones_are_no_outliers():
    """The one misfit by many standard deviations, the others have large shares by chance."""
    known = outliers.TypicalFit(misfit=(1.0, 1.0), unexplained=(0.03, 0.02))
    bright = outliers.weights(torch.tensor([30.0]), torch.tensor([0.04]), known)
    faint = outliers.weights(torch.tensor([1.5]), torch.tensor([0.9]), known)
    junk = outliers.weights(torch.tensor([30.0]), torch.tensor([0.9]), known)
    assert min(float(bright), float(faint)) > 0.9
    assert float(junk) == 0


def state_with(**changes):
    state = State(patterns="", extent={}, rounds=3, limit=0.03, agreed=0.03)
    state.grow(100)
    state.seen = 100
    state.columns["error_deg"][:] = 0.5
    for name, value in changes.items():
        if name in state.columns:
            state.columns[name][:] = value
        else:
            setattr(state, name, value)
    return state


def test_a_run_doubts_itself_where_it_should():
    finder = finder_of(100)
    assert warnings_of(finder, state_with()) == []
    assert "half-sets agree only to 100 Å" in warnings_of(finder, state_with(agreed=0.01))[0]
    assert "half-sets agree nowhere" in warnings_of(finder, state_with(agreed=0.0))[0]
    speckle = math.degrees(1 / (0.03 * 300))
    assert "flat posteriors" in warnings_of(finder, state_with(error_deg=1.1 * speckle))[0]
    assert "fit no pose" in warnings_of(finder, state_with(weight=0.0))[0]
    assert "likelier poses for 20% of a probe" in warnings_of(finder, state_with(rivals=0.2))[0]
    amortised = SimpleNamespace(**vars(finder) | {"config": TrainConfig(mode="amortised")})
    assert not warnings_of(amortised, state_with(rivals=0.07)), "as many are missed by design"
    assert "likelier poses for 9%" in warnings_of(amortised, state_with(rivals=0.09))[0]
    collapsed = state_with(figures={"encoder_views_over_poses": 0.1})
    assert "collapsed: its choices spread over 10%" in warnings_of(finder, collapsed)[0]


def test_ladder_rises_in_equal_ratios():
    rungs = torch.tensor(ladder(0.02, 0.06, 1.1), dtype=torch.float64)
    ratios = rungs[1:] / rungs[:-1]
    assert float(rungs[0]) == 0.02
    assert float(rungs[-1]) == 0.06
    assert float(ratios.max()) <= 1.1
    assert torch.allclose(ratios, ratios[0])
    assert ladder(0.05, 0.03, 1.1) == [0.03]


def test_patterns_that_nobody_has_looked_at_have_no_pose_yet():
    state = State(patterns="patterns.h5", extent={}, seen=4)
    state.grow(4)
    state.columns["orientations"][:2] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert state.outcome()["orientations"].isfinite().all(1).tolist() == [True, True, False, False]
    assert not state.outcome()["encoder_orientations"].isfinite().any()
    assert "half" not in state.outcome()
    state.volumes = [Volume(values=torch.ones(3, 3, 3), spacing=1.0, kind="intensity")] * 2
    assert state.outcome()["half"].tolist() == [1, 2, 1, 2]
