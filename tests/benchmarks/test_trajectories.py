"""What runs say of themselves on their way: read from logs, kept in records, seen in pandas."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pipeline, record
from benchmarks.comparison import Comparison, Reconstruction, ScoreConfig, TrueParticle
from benchmarks.dataframe import reliabilities, runs, trajectories
from benchmarks.metrics import METRICS, disconcurrence
from benchmarks.record import PATTERNS, SECONDS, Record, Reliability, Trajectory
from benchmarks.trajectories import find, told
from xraisim.core.errors import FormatError
from xraisim.core.halves import RULE

MakeRecord = Callable[..., Record]
ANGSTROM = f"{RULE}_angstrom"

XRAI: tuple[dict[str, Any], ...] = (
    {"event": "start", "elapsed_s": 30.0},
    {"event": "round", "elapsed_s": 31.0, "patterns": 500, ANGSTROM: None, "reached_edge": False},
    {
        "event": "round", "elapsed_s": 33.0, "patterns": 500, ANGSTROM: 50.0, "reached_edge": True,
        "disconcurrence_deg": 4.0,
    },
    {
        "event": "round", "elapsed_s": 40.0, "patterns": 800, ANGSTROM: 31.0, "reached_edge": False,
        "disconcurrence_deg": 1.5,
    },
    {"event": "round", "elapsed_s": 44.0, "patterns": 800, "disconcurrence_deg": None},
    {"event": "encoder", "elapsed_s": 45.0},
)  # fmt: skip


def test_rounds_are_points_against_seconds_and_patterns() -> None:
    by_seconds, by_patterns, apart, _ = told(XRAI)
    assert (by_seconds.name, by_seconds.unit, by_seconds.against) == (RULE, "Å", SECONDS)
    assert by_seconds.x == (31.0, 33.0, 40.0)  # the last round has no half-sets
    assert by_patterns.x == (500.0, 1000.0, 1800.0)
    assert by_patterns.against == PATTERNS
    for one in (by_seconds, by_patterns):
        assert one.value == (None, 50.0, 31.0)
        assert one.reached_edge == (False, True, False)
    assert (apart.name, apart.x, apart.value) == (disconcurrence.NAME, (33.0, 40.0), (4.0, 1.5))


def test_iterations_add_up_their_seconds() -> None:
    # EMC with half-sets: they are made above the first level, and no patterns are told.
    log = [{"iteration": 1, "seconds": 2.0}, {"iteration": 2, "seconds": 3.0, ANGSTROM: 60.0}]
    assert told(log[:1]) == ()
    (one,) = told(log)
    assert (one.against, one.x, one.value) == (SECONDS, (5.0,), (60.0,))


@pytest.mark.parametrize(
    "event",
    [
        {"event": "round"},
        {"event": "round", "patterns": "many", "elapsed_s": None, ANGSTROM: [1]},
        {"event": "round", "patterns": True, ANGSTROM: math.inf},
        {"iteration": 1},
        {"event": 5},
        {},
    ],
)
def test_logs_of_others_are_no_trouble(event: dict[str, Any]) -> None:
    assert [one for made in told([event]) for one in made.value if one is not None] == []


def test_the_last_disconcurrence_is_the_metric(result: Reconstruction, truth: TrueParticle) -> None:
    metric = METRICS[disconcurrence.NAME]
    for events, expected in [(XRAI, 1.5), (XRAI[:3], 4.0)]:
        logged = dataclasses.replace(result, events=events)
        assert metric.measure(Comparison(logged, truth, ScoreConfig())).value == expected
    for events in (XRAI[:2], ()):
        logged = dataclasses.replace(result, events=events)
        assert metric.measure(Comparison(logged, truth, ScoreConfig())) is None


def test_they_go_through_a_record_into_a_table(make_record: MakeRecord, tmp_path: Path) -> None:
    curve = Reliability(stated_deg=(1.0, 2.0), actual_deg=(1.5, 2.0), patterns=(3, 2))
    made = make_record(seed=3, trajectories=told(XRAI), reliability=curve)
    record.write(tmp_path / "one.json", made)
    assert record.read(tmp_path / "one.json") == made
    table = trajectories([make_record(), record.read(tmp_path / "one.json")])
    assert table.columns.tolist() == [
        "task", "method", "origin", "division", "seed", "date",
        "trajectory", "unit", "against", "x", "value", "reached_edge",
    ]  # fmt: skip
    assert (table.seed == 3).all()
    mine = table[(table.trajectory == RULE) & (table.against == PATTERNS)]
    assert mine.x.tolist() == [500.0, 1000.0, 1800.0]
    assert mine.value.tolist() == [math.inf, 50.0, 31.0]  # not that far yet
    assert mine.reached_edge.tolist() == [False, True, False]
    assert trajectories([make_record()]).columns.tolist() == table.columns.tolist()
    bins = reliabilities([make_record(), made])
    assert bins[["seed", "stated_deg", "actual_deg", "patterns"]].to_numpy().tolist() == [
        [3, 1.0, 1.5, 3], [3, 2.0, 2.0, 2],
    ]  # fmt: skip
    assert reliabilities([]).columns.tolist() == bins.columns.tolist()
    assert {"trajectories", "reliability"}.isdisjoint(pipeline.summary([made])[0])


def test_records_of_before_have_none(make_record: MakeRecord, tmp_path: Path) -> None:
    former = dataclasses.asdict(make_record())
    for name in ("trajectories", "reliability", "energy_joule"):
        del former[name]
    (tmp_path / "one.json").write_text(json.dumps(former))
    found = record.read(tmp_path / "one.json")
    assert found == make_record()
    row = runs([found]).iloc[0]
    assert math.isnan(row["icc_truth_outermost"])
    assert math.isnan(row["energy_joule"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m["trajectories"][0].update(against="miles"),
            "against is 'miles'; expected one",
        ),
        (lambda m: m["trajectories"][0]["x"].pop(), "has 2 points, 3 values and 3 edges"),
        (lambda m: m["reliability"]["patterns"].pop(), "1 stated errors, 1 actual ones and 0"),
    ],
)
def test_damage_is_named(
    make_record: MakeRecord, tmp_path: Path, change: Callable, message: str
) -> None:
    curve = Reliability(stated_deg=(1.0,), actual_deg=(1.5,), patterns=(3,))
    made = make_record(trajectories=told(XRAI), reliability=curve)
    mapping = json.loads(json.dumps(dataclasses.asdict(made)))
    change(mapping)
    (tmp_path / "one.json").write_text(json.dumps(mapping))
    with pytest.raises(FormatError, match=message):
        record.read(tmp_path / "one.json")


def test_a_trajectory_that_is_not_there() -> None:
    assert find(XRAI, "nothing", SECONDS) is None
    assert isinstance(find(XRAI, RULE, SECONDS), Trajectory)
