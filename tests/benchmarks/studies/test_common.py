"""Records, command lines and what a run left, as all studies have them."""

import json
import sys

import pytest

from benchmarks.studies.common import stages, study_record
from xraisim.core.errors import ConfigError


def test_an_ablation_keeps_a_figure_per_variant_and_seed(tmp_path, monkeypatch):
    out = tmp_path / "record.json"
    said = ["ablation", "p.h5", "--seeds", "3,4", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", said)
    parser = study_record.seeded_parser("About it.")
    parser.add_argument("--variants")
    study_record.ablate(
        parser.parse_args(), {"a": 1.0, "b": 10.0}, lambda factor, seed: {"x": factor * seed}
    )
    record = json.loads(out.read_text())
    assert record["variants"] == {"a": [{"x": 3.0}, {"x": 4.0}], "b": [{"x": 30.0}, {"x": 40.0}]}
    assert record["command"][1:] == said[1:]
    assert study_record.heading("About", record).startswith("About\n" + record["hardware"]["cpu"])


def test_a_file_to_write_is_needed_where_there_is_no_directory():
    assert str(study_record.parser("", "runs/x").parse_args([]).out) == "runs/x"
    with pytest.raises(SystemExit):
        study_record.parser("").parse_args([])


def test_what_a_user_can_mend_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended, study_record.user_errors():
        raise ConfigError("no such task")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: no such task\n"


def test_the_lines_of_a_run_are_found_by_what_they_say(tmp_path):
    lines = [
        {"event": "start", "elapsed_s": 1.0},
        {"event": "round", "kind": "online", "icc_half": [0.9, 0.1], "elapsed_s": 2.0},
        {"event": "round", "kind": "relocate", "icc_half": [0.9, 0.2], "elapsed_s": 3.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert stages.metrics(tmp_path, event="round", kind="relocate") == lines[2:]
    assert stages.rounds(tmp_path) == [
        {"event": "round", "kind": "online", "elapsed_s": 2.0},
        {"event": "round", "kind": "relocate", "elapsed_s": 3.0},
    ]
