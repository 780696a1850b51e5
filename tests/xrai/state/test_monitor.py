"""Events on file and on the console."""

import json

import numpy as np
import pytest

from xrai.state.monitor import Monitor, line
from xraisim import console

ROUND = {
    "number": 3,
    "kind": "online",
    "patterns_seen": 12_000,
    "patterns": 4_000,
    "d_min_angstrom": 32.14,
    "loglik_per_pattern": -1612.33,
    "patterns_per_s": 2410.4,
    "fsc_half_0.143_angstrom": None,
    "outliers": 0.021,
    "s_per_angstrom": [0.1, 0.2],
}


def read(path) -> list[dict]:
    return [json.loads(entry) for entry in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_what_is_not_finite_is_null(path):
    Monitor(path, quiet=True).log(
        "round", a=float("nan"), b=[1.0, float("inf"), None], c=np.float32(0.5), d=np.int64(3)
    )
    (entry,) = read(path)
    assert entry["a"] is None
    assert entry["b"] == [1.0, None, None]
    assert (entry["c"], entry["d"]) == (0.5, 3)


def test_what_is_no_figure_is_an_error(path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        Monitor(path, quiet=True).log("round", a=object())
    assert not path.exists()


def test_a_resumed_run_goes_on_in_time_after_a_torn_line(path):
    path.write_text('{"event": "start", "elapsed_s": 100.5}\n{"event": "rou')
    Monitor(path, quiet=True).log("resumed")
    first, second = read(path)
    assert first["elapsed_s"] == 100.5
    assert 100.5 <= second["elapsed_s"] < 160


def test_a_round_in_a_line():
    assert " ".join(line("round", ROUND)) == (
        "round 3  online  12,000 patterns seen  to 32.1 Å  "
        "log-likelihood -1,612.3 per pattern  2,410 patterns/s  2.1% outliers"
    )


def test_a_resolution_is_said_in_words_alone():
    figures = {"icc_half_0.143_angstrom": 35.3, "reached_edge": True}
    said = line("round", ROUND | figures | {"resolution": "icc_half_0.143 ≤ 35.3 Å"})[1]
    assert said.count("35.3") == 1
    assert "reached_edge" not in said


def test_unknown_figures_are_named():
    assert line("start", {"restart": 1, "nll_per_photon": 4.5994436})[1].endswith(
        "restart 1  nll_per_photon 4.5994"
    )


def test_warnings_stand_out_and_are_no_markup(path, capsys):
    Monitor(path).log("warning", reason="half-sets [1] and [2] disagree")
    assert "warning: half-sets [1] and [2] disagree" in capsys.readouterr().err
    assert line("warning", {"reason": "[x]"}) == ("warning:", "[x]")


def test_progress_tells_likelihood_and_resolution_so_far(path, capsys, monkeypatch):
    monkeypatch.setattr(console, "_LINE_INTERVAL_S", 0.0)
    monitor = Monitor(path)
    monitor.log("round", **ROUND)
    with monitor.progress("round 4", 1000) as advance:
        advance(500, "β 0.5")
    said = capsys.readouterr().err
    assert "round 4: 500 of 1,000  β 0.5  log-likelihood -1,612.3 per pattern  to 32.1 Å" in said
    assert "s left)" in said
    monitor.log("round", **ROUND | {"resolution": "icc_half_0.143 ≤ 35.3 Å so far"})
    capsys.readouterr()
    with monitor.progress("round 5", 1000) as advance:
        advance(1)
    assert "icc_half_0.143 ≤ 35.3 Å so far  (" in capsys.readouterr().err


def test_quiet_is_quiet(path, capsys):
    monitor = Monitor(path, quiet=True)
    monitor.log("round", **ROUND)
    with monitor.progress("round 4", 10) as advance:
        advance(10)
    assert capsys.readouterr().err == ""
