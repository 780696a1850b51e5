"""The figures: what stands where, and what it says."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import log10

import pytest

from benchmarks import leaderboard
from benchmarks.record import Curve, Record, Value
from benchmarks.report import curves, effort, ladder
from benchmarks.report.board import board
from benchmarks.report.style import cost_axis, looks, resolution_axis
from tests.benchmarks.report.conftest import beam

MakeRecord = Callable[..., Record]
LOOK = looks(["theirs"])
ICC, FSC = "icc_truth_0.5", "fsc_truth_0.5"


def drawn(figure: dict) -> list[dict]:
    """Return the traces of a figure that are not there for the legend alone."""
    return [one for one in figure["data"] if list(one["x"]) != [None]]


def test_curves_are_drawn_as_one_minus_correlation(make_record: MakeRecord) -> None:
    curve = Curve(name="fsc_truth", s_per_angstrom=(0.01, 0.02, 0.05), value=(1.0, 0.999, -0.1))
    (plot,) = curves.plots([make_record(curves=(curve,))], LOOK)
    (figure,) = plot.figures.values()
    (line,) = drawn(figure)
    assert line["y"] == pytest.approx([1e-6, 0.001, 1.1])
    assert line["customdata"] == [[100.0, 1.0], [50.0, 0.999], [20.0, -0.1]]
    assert "<b>xrai</b>, seed 0" in line["hovertemplate"]
    bottom, top = figure["layout"]["yaxis"]["range"]
    assert bottom > log10(0.5) > top == log10(1e-6)
    assert [one["y0"] for one in figure["layout"]["shapes"]] == [0.5]
    assert [one["text"] for one in figure["layout"]["annotations"]] == [FSC]


def of_ladder(make_record: MakeRecord, photons: float, **changes: object) -> Record:
    config = {"simulate": beam(1e9 * photons)}
    own = {"task": f"ladder-{photons:g}", "config": config, "photons_per_pattern": photons}
    return make_record(**own | changes)


def test_a_ladder_is_of_tasks_that_differ_in_photons_alone(make_record: MakeRecord) -> None:
    records = [
        of_ladder(make_record, photons, method=method, fsc=fsc + 1000 / photons, seed=seed)
        for photons in (15.0, 600.0)
        for method, fsc in (("oracle", 8.0), ("xrai", 9.0), ("floor", 90.0))
        for seed in (0, 1)
    ]
    records.append(make_record(task="alone", config={"simulate": beam(1.0) | {"patterns": 3}}))
    (plot,) = ladder.plots(leaderboard.entries(records), LOOK)
    assert plot.title == "Resolution against photons: ladder-15, ladder-600"
    traces = drawn(plot.figures[FSC])
    assert traces[1]["fill"] == "tonexty"  # the band from floor to oracle
    lines = {one["name"]: one for one in traces if "name" in one}
    assert lines.keys() == {"oracle", "xrai", "floor"}
    assert lines["xrai"]["x"] == [15.0, 600.0]
    assert lines["xrai"]["y"] == pytest.approx([1 / (9 + 1000 / 15), 1 / (9 + 1000 / 600)])
    assert plot.figures[FSC]["layout"]["xaxis"]["title"]["text"].endswith("all of them")


def test_seeds_that_differ_have_bars_and_what_was_not_reached_a_place(
    make_record: MakeRecord,
) -> None:
    records = [of_ladder(make_record, 600.0, fsc=fsc, seed=n) for n, fsc in enumerate((8, 9, 12))]
    records.append(of_ladder(make_record, 15.0, fsc=None))
    (plot,) = ladder.plots(leaderboard.entries(records), LOOK)
    figure = plot.figures[FSC]
    (line,) = drawn(figure)
    assert line["y"][1] == pytest.approx(1 / 9)
    assert line["error_y"]["array"][1] == pytest.approx(1 / 8 - 1 / 9)
    assert line["error_y"]["arrayminus"][1] == pytest.approx(1 / 9 - 1 / 12)
    assert line["customdata"][1][0] == "9.0 Å (8.0 … 12.0)"
    axis = figure["layout"]["yaxis"]
    assert axis["ticktext"][-1] == "none"
    assert line["y"][0] == axis["tickvals"][-1] < 1 / 12
    assert line["marker"]["symbol"] == ["x-thin-open", "circle"]
    assert line["customdata"][0][0] == "not resolved"


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    name: str = FSC
    unit: str = "Å"
    against: str
    x: tuple[float, ...] = (10.0, 20.0)
    value: tuple[float | None, ...] = (None, 30.0)
    reached_edge: tuple[bool, ...] = (False, True)


@dataclass(frozen=True, kw_only=True)
class Told(Record):
    """A record that tells more than one needs to."""

    photons_beyond: float = 0.0
    trajectories: tuple[Trajectory, ...] = ()


def told(one: Record, **more: object) -> Told:
    return Told(**vars(one) | more)


def test_photons_beyond_are_taken_where_every_record_counts_them(make_record: MakeRecord) -> None:
    records = [
        told(of_ladder(make_record, photons), photons_beyond=photons / 10)
        for photons in (150.0, 600.0)
    ]
    (plot,) = ladder.plots(leaderboard.entries(records), LOOK)
    (line,) = drawn(plot.figures[FSC])
    assert line["x"] == [15.0, 60.0]
    assert plot.figures[FSC]["layout"]["xaxis"]["title"]["text"].endswith("beyond s·D = 1.2")


def test_time_has_a_point_per_run_and_bounds_across(make_record: MakeRecord) -> None:
    edge = {FSC: Value(value=9.0, reached_edge=True)}
    records = [make_record(seed=0, fsc=11.0), make_record(seed=1, metrics=edge)]
    records.append(make_record(method="oracle", fsc=8.0, seconds={"reconstruct": 1.0}))
    (plot,) = effort.plots(leaderboard.entries(records), LOOK)
    bound, points = drawn(plot.figures[FSC])
    assert points["x"] == [100.0, 100.0]
    assert points["marker"]["symbol"] == ["circle", "circle-open"]
    assert points["customdata"][1] == ["≤ 9.0 Å", "seed 1, 100 s"]
    assert bound["y"] == pytest.approx([1 / 8, 1 / 8])
    assert bound["x"][0] < 100 < bound["x"][1]  # its own second is no part of the axis
    assert bound["x"][0] > 10


def test_what_runs_told_on_their_way_is_drawn(make_record: MakeRecord) -> None:
    ways = tuple(Trajectory(against=against) for against in ("seconds", "patterns"))
    one = told(make_record(fsc=25.0), trajectories=ways)
    time, patterns = effort.plots(leaderboard.entries([one]), LOOK)
    line, point = drawn(time.figures[FSC])
    assert line["x"] == [10.0, 20.0]
    assert line["marker"]["symbol"] == ["x-thin-open", "circle-open"]
    assert point["x"] == [100.0]
    assert patterns.title == "Resolution against patterns"
    (line,) = drawn(patterns.figures[FSC])
    assert line["y"][1] == pytest.approx(1 / 30)


def test_rows_sort_by_medians_and_the_best_method_is_marked(make_record: MakeRecord) -> None:
    records = [make_record(method="oracle", fsc=8.0), make_record(method="emc", fsc=None)]
    records += [make_record(seed=n, fsc=fsc) for n, fsc in enumerate((9.0, 10.0, 14.0))]
    made = board(leaderboard.entries(records), LOOK)
    place = made["headings"].index(f"{FSC} (Å)") - 1
    cells = {row["method"]: row["cells"][place] for row in made["rows"]}
    assert cells["xrai"] == {
        "text": "10.0", "spread": "9.0 … 14.0", "sort": 10.0, "words": False, "best": True,
    }  # fmt: skip
    assert cells["emc"]["sort"] is None
    assert not cells["oracle"]["best"]


def test_whoever_gets_to_the_edge_of_the_data_is_as_good(make_record: MakeRecord) -> None:
    """Grids end a little differently: 8.0 and 8.2 at the edge say the same."""

    def made(method: str, angstrom: float, edge: bool) -> Record:
        reached = {FSC: Value(value=angstrom, reached_edge=edge)}
        return make_record(method=method, metrics=reached)

    records = [made("emc", 8.0, True), made("xrai", 8.2, True), made("mine", 9.0, False)]
    shown = board(leaderboard.entries(records), looks(["emc", "xrai", "mine"]))
    place = shown["headings"].index(f"{FSC} (Å)") - 1
    best = {row["method"]: row["cells"][place]["best"] for row in shown["rows"]}
    assert best == {"emc": True, "xrai": True, "mine": False}


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.02), (0.0, 0.125), (0.0605, 0.0625)])
def test_axes_of_resolution_have_room_between_their_labels(low: float, high: float) -> None:
    axis = resolution_axis(low, high, "d", 0.06)
    places = axis["tickvals"]
    assert len(places) >= 4
    assert all(low < place <= high for place in places)
    gaps = [abs(a - b) for a, b in pairwise(places)]
    assert min(gaps) > 0.06 * (high - low)
    assert [1 / float(text) for text in axis["ticktext"]] == pytest.approx(places, rel=1e-3)


def test_costs_are_labelled_whole() -> None:
    axis = cost_axis([90.0, 4000.0], "s")
    assert {"100", "1,000", "2,000"} <= set(axis["ticktext"])
    low, high = axis["range"]
    assert low < log10(90)
    assert high > log10(4000)


def test_methods_keep_their_colours() -> None:
    few, many = looks(["xrai"]), looks(["a", "xrai", "emc", "b", *"cdefgh"])
    assert few["xrai"] == many["xrai"]
    assert len({(look.colour, look.dash) for look in many.values()}) == len(many)
