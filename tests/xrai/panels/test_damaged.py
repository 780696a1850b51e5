"""Damaged files of a run: the page says what is missing, or there is one message."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from xrai import panels
from xraisim.core.errors import FormatError
from xraisim.report.page import MethodPanels, head, write_report
from xraisim.report.panels import half_sets
from xraisim.report.run import read_run

_FILES = ("config.toml", "metrics.jsonl", "poses.h5", "result.json", "intensity.h5", "half_1.h5")


_QUICK = {"xrai": MethodPanels(panels=(), head=panels.head, so_far=panels.so_far)}


@pytest.fixture
def write(monkeypatch):
    """Return what writes a page without any drawing."""
    for name in ("intensity_cube", "density_cube"):
        nothing = lambda *_: SimpleNamespace(levels=())  # noqa: E731
        monkeypatch.setattr(f"xraisim.report.page.viewer.{name}", nothing)
    return lambda run: write_report(run, run / "report.html", _QUICK)


@pytest.mark.parametrize("name", _FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "garbage"])
def test_one_message_or_a_page(rounds_run, write, name, damage):
    path = rounds_run / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {"empty": b"", "truncated": data[: len(data) // 2]}.get(damage, b"\xff" * 99)
        )
    text = {("empty", ".toml"), ("empty", ".jsonl"), ("truncated", ".jsonl")}
    whole = damage == "missing" or (damage, path.suffix) in text
    with nullcontext() if whole else pytest.raises(FormatError, match=name):
        write(rounds_run)
    assert (rounds_run / "report.html").exists() == whole


def _metrics(run, **values):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rounds = [line for line in lines if line["event"] == "round"]
    rounds[-1].update(values)
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _told(run):
    for tell in (half_sets, panels.progress):
        tell(run)
    head(run, panels.METHODS)


@pytest.mark.parametrize(
    "values",
    [
        {"outliers": "x"}, {"outliers": [1]}, {"outliers": True}, {"patterns": {}},
        {"icc_half": 3}, {"icc_half": ["a"]}, {"icc_half": [0.5]}, {"s_per_angstrom": {"a": 1}},
        {"elapsed_s": "soon"},
    ],
)  # fmt: skip
def test_figures_that_are_none_are_named(rounds_run, values):
    _metrics(rounds_run, **values)
    run = read_run(rounds_run)
    with pytest.raises(FormatError, match=rf"metrics\.jsonl: .*{next(iter(values))}"):
        _told(run)


@pytest.mark.parametrize("name", ["result.json", "summary.json"])
@pytest.mark.parametrize("wrong", [{"patterns": "x"}, {"seconds": []}, {"peak_memory_gib": {}}])
def test_a_result_of_something_else_is_named(rounds_run, write, name, wrong):
    content = json.loads((rounds_run / "result.json").read_text())
    (rounds_run / "result.json").unlink()
    (rounds_run / name).write_text(json.dumps(content | wrong))
    with pytest.raises(FormatError, match=r"\.json is not a whole result: \w+ must be of type"):
        write(rounds_run)


def test_poses_that_are_no_rotations_are_refused(rounds_run, write, write_results, lumps):
    write_results(rounds_run, lumps)
    with h5py.File(rounds_run / "poses.h5", "r+") as file:
        file["orientations"][3] *= 2
    with pytest.raises(FormatError, match="1 of the orientations are no unit quaternions"):
        write(rounds_run)
    with h5py.File(rounds_run / "poses.h5", "r+") as file:
        del file["fluence"]
        file["fluence"] = np.ones((len(lumps.poses), 2))
    with pytest.raises(FormatError, match=r"holds fluence of shape \(300, 2\)"):
        write(rounds_run)
