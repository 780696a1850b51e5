"""Records: whole files only, and a clear word about every other."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import record
from benchmarks.metrics import METRICS
from benchmarks.record import Curve, Record, Value
from xraisim.core import machine
from xraisim.core.errors import ConfigError, FormatError, UserError

MakeRecord = Callable[..., Record]


def test_round_trip(make_record: MakeRecord, tmp_path: Path) -> None:
    made = make_record(
        config={"simulate": {"detector": {"s_max": 0.05}}, "names": ["a"]},
        task_version=2, photons_sha256="a" * 64, photons_agree=False,
    )  # fmt: skip
    record.write(tmp_path / "one.json", made)
    assert record.read(tmp_path / "one.json") == made
    assert not list(tmp_path.glob("*.partial"))


def test_an_open_end_is_text_since_json_has_no_infinity(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    record.write(tmp_path / "one.json", make_record(config={"s_max": float("inf")}))
    assert record.read(tmp_path / "one.json").config == {"s_max": "inf"}


def test_total_time_leaves_the_shared_simulation_out(make_record: MakeRecord) -> None:
    made = make_record(seconds={"simulate": 100.0, "reconstruct": 20.0, "phase": 3.0})
    assert made.total_seconds == 23.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("hardware"), "not a whole record: .*hardware"),
        (lambda m: m.update(schema=99), "has record schema 99; this version reads 1 to 4"),
        (lambda m: m.pop("schema"), "has no schema number"),
        (lambda m: m.update(methd="a"), "unknown configuration key methd; did you mean method"),
        (lambda m: m["seconds"].update(phase="long"), r"seconds\.phase must be of type float"),
        (lambda m: m["curves"][0]["value"].pop(), "curve icc_truth has 3 shells and 2 values"),
    ],
)
def test_damaged_records_say_what_is_wrong(
    make_record: MakeRecord, tmp_path: Path, change: Callable, message: str
) -> None:
    mapping = json.loads(json.dumps(dataclasses.asdict(make_record())))
    change(mapping)
    path = tmp_path / "one.json"
    path.write_text(json.dumps(mapping))
    with pytest.raises(FormatError, match=message):
        record.read(path)


def test_a_record_of_schema_1_has_its_metrics_by_name(repository: Path, tmp_path: Path) -> None:
    path = repository / "benchmarks" / "records" / "quick-xrai-1.json"
    former = json.loads(path.read_text())
    assert former["schema"] == 1
    found = record.read(path)
    assert found.data_seed == found.seed == 1  # the patterns had the seed of the run
    assert (found.task_version, found.photons_sha256, found.photons_agree) == (1, "", None)
    for one in former["resolutions"]:
        expected = Value(value=one["angstrom"], reached_edge=one["reached_edge"])
        assert found.metrics[one["rule"]] == expected
    for errors in ("pose_error", "encoder_pose_error"):
        for statistic, value in former[errors].items():
            assert found.metrics[f"{errors}_{statistic}"].value == value
    assert set(found.metrics) <= set(METRICS)
    record.write(tmp_path / "one.json", found)
    assert record.read(tmp_path / "one.json") == found


def test_a_record_of_schema_2_is_of_the_first_version_of_its_task(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    former = dataclasses.asdict(make_record()) | {"schema": 2}
    for name in ("task_version", "photons_sha256", "photons_agree"):
        del former[name]
    (tmp_path / "one.json").write_text(json.dumps(former))
    assert record.read(tmp_path / "one.json") == make_record()


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "\x00\xff"])
def test_other_files_are_no_records(tmp_path: Path, text: str) -> None:
    path = tmp_path / "one.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(FormatError, match=r"is not a (readable )?record"):
        record.read(path)


def test_curves_need_a_value_per_shell() -> None:
    with pytest.raises(ConfigError, match="2 shells and 1 values"):
        Curve(name="fsc", s_per_angstrom=(0.1, 0.2), value=(1.0,))


def test_records_are_found_in_collections_and_in_runs(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    early, late = make_record(date="2026-01-01"), make_record(date="2026-02-01", method="emc")
    record.write(tmp_path / record.file_name(late), late)
    record.write(tmp_path / "quick" / "xrai-0" / "record.json", early)
    (tmp_path / "quick" / "xrai-0" / "result.json").write_text("{}")
    assert record.read_all(tmp_path) == [early, late]
    assert record.read_all(tmp_path / record.file_name(late)) == [late]


def test_no_records_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no records"):
        record.read_all(tmp_path)
    with pytest.raises(FormatError, match="no such file or directory"):
        record.read_all(tmp_path / "missing")


def test_a_file_in_the_way_leaves_one_message(make_record: MakeRecord, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        record.write(tmp_path / "file" / "one.json", make_record())


def test_the_environment_is_told() -> None:
    hardware = machine.hardware()
    assert hardware.cores >= 1
    assert hardware.memory_gib > 0.5
    assert hardware.cpu
    assert machine.versions()["torch"].startswith("2.")
    assert 0.05 < machine.peak_gib() < hardware.memory_gib


def test_a_metric_is_a_number_or_nothing() -> None:
    with pytest.raises(ConfigError, match="a metric is NaN"):
        Value(value=float("nan"))
    assert Value(value=None).value is None
