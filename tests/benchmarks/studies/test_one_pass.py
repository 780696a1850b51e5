"""The figure of one pass has a line for every seed, and a name for every mode."""

import json
import sys

from matplotlib.figure import Figure

from benchmarks.studies.one_pass import figure

_ROUNDS = [[10.0, 1000, 5.0, 9.0], [12.0, 2000, 1.0, 2.0]]


def test_every_seed_has_a_line_and_emc_a_point(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, out, dpi: drawn.append(self))
    for mode in ("amortised", "hybrid"):
        run = {"mode": mode, "rounds_online": _ROUNDS, "reference_error_deg": 0.8}
        (tmp_path / mode).write_text(json.dumps({"runs": [run, run]}))
    ended = {"mode": "emc", "patterns": 8192, "seconds": 30.0, "last_error_deg": [4.0, 9.0]}
    ended |= {"rounds_online": []}
    (tmp_path / "emc").write_text(json.dumps({"runs": [ended]}))
    monkeypatch.chdir(tmp_path)
    said = ["figure", "amortised", "hybrid", "emc", "--out", "figure.png"]
    monkeypatch.setattr(sys, "argv", said)
    figure.main()
    (axes,) = drawn[0].axes
    lines = [line for line in axes.lines if list(line.get_ydata()) == [5.0, 1.0]]
    assert len(lines) == 4
    assert [list(line.get_xdata()) for line in axes.lines if 4.0 in line.get_ydata()] == [[30.0]]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["mode amortised", "mode hybrid", "EMC, 8,192 patterns", "from the true poses"]
