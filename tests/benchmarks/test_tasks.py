"""Tasks: suites, bases, parts of a task, and the photons that they are told by."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks import cli, dataframe, leaderboard, record, suites, task, worker
from benchmarks.commands.run import _names
from benchmarks.photons import BEYOND, count_photons
from benchmarks.record import Record
from benchmarks.task import Task, load_task, task_names
from xraisim.core import config
from xraisim.core.errors import ConfigError
from xraisim.files.patterns import PatternReader
from xraisim.simulation import make
from xraisim.simulation.simulator import Simulator

MakeRecord = Callable[..., Record]
LADDER = (600, 150, 74, 37, 25, 15)
BASE = """
version = 7
summary = "A base."
photons_per_pattern = 9.0
xrai_minutes = 3.0

[simulate]
patterns = 50
species = [{ shape = "cube", size_nm = 3.0, material = "gold" }]

[simulate.beam]
photon_energy_ev = 5000.0

[simulate.detector]
rows = 24
columns = 24
pixel_size_mm = 3.0
s_min_per_angstrom = 0.004

[xrai]
symmetry = "O"
"""
OWN = """
base = "base.toml"
summary = "Over a base."

[simulate]
species = [{ shape = "sphere", size_nm = 3.0, material = "gold" }]

[simulate.detector]
columns = 30
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def written(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return written


def test_every_suite_is_a_folder_with_a_question() -> None:
    assert set(task.suites()) == set(suites.SUITES)
    assert sorted(name for one in suites.SUITES for name in task_names(one)) == task_names()
    with pytest.raises(ConfigError, match="unknown suite 'quik'; did you mean quick"):
        task_names("quik")


@pytest.mark.parametrize("suite", suites.SUITES)
def test_a_suite_is_listed_with_what_its_tasks_state(suite: str) -> None:
    listed = {row[0]: row for row in suites.rows(suite)}
    assert set(listed) == set(task_names(suite))
    for name, row in listed.items():
        told = load_task(name)
        assert len(row) == len(suites.HEADINGS)
        assert row[2] == f"{told.simulate.patterns:,}"
        assert row[-1] == told.summary


def test_the_ladder_has_the_photons_that_its_names_say() -> None:
    rungs = [load_task(f"ladder-{rung}") for rung in LADDER]
    assert sorted(one.name for one in rungs) == task_names("photon-ladder")
    seen = [_but_for_the_light(one) for one in rungs]
    assert all(one == seen[0] for one in seen)
    per_photon = np.array([one.simulate.beam.photons_per_pulse for one in rungs]) / LADDER
    np.testing.assert_allclose(per_photon, per_photon[0], rtol=1e-3)

    number, sampled = 300, rungs[1]
    simulator = Simulator(sampled.simulate)
    beyond = np.linalg.norm(simulator.geometry.s, axis=1) * simulator.diameter_angstrom > BEYOND
    photons = simulator.photons(0, number)
    counts = np.bincount(photons.rows(), photons.count * beyond[photons.pixel], number)
    assert abs(counts.mean() - 150) < 3 * counts.std() / math.sqrt(number)


def _but_for_the_light(one: Task) -> dict:
    told = config.to_mapping(one.simulate)
    del told["beam"]["photons_per_pulse"]
    return told


def test_photons_are_counted_as_by_hand(write: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "patterns.h5"
    make.simulate(load_task(write("base.toml", BASE)).simulate, path)
    found = count_photons(path)
    with PatternReader(path) as reader, h5py.File(path) as file:
        images = reader.images(0, reader.n_patterns).reshape(reader.n_patterns, -1)
        diameter = reader.info["particle_diameter_angstrom"]
        far = np.linalg.norm(file["detector/s"][:], axis=1) * diameter > 1.2
    assert 0 < far.sum() < len(far)
    assert found.photons_per_pattern == pytest.approx(images.sum(1).mean(), abs=0.01)
    assert found.photons_beyond == pytest.approx(images[:, far].sum(1).mean(), abs=0.01)
    assert 0 < found.photons_beyond < found.photons_per_pattern


def test_a_task_takes_from_its_base_what_it_does_not_state(write: Callable[..., str]) -> None:
    base, own = load_task(write("base.toml", BASE)), load_task(write("own.toml", OWN))
    assert (own.name, own.version, own.summary) == ("own", 1, "Over a base.")
    assert (own.photons_per_pattern, own.xrai_minutes) == (0.0, 0.0)
    assert [one.shape for one in own.simulate.species] == ["sphere"]
    assert (own.simulate.detector.rows, own.simulate.detector.columns) == (24, 30)
    assert own.simulate.beam == base.simulate.beam
    assert own.xrai == base.xrai
    assert "base" not in config.to_mapping(own)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ('"own.toml"', "which has the base 'base.toml'; expected a task without one"),
        ("3", "base is 3; expected the name of a task"),
        ('"quik"', "unknown task 'quik'; did you mean quick"),
        ('"gone.toml"', "gone.toml: No such file"),
    ],
)
def test_what_is_no_base(write: Callable[..., str], stated: str, message: str) -> None:
    write("base.toml", BASE)
    write("own.toml", OWN)
    with pytest.raises(ConfigError, match=message):
        load_task(write("third.toml", f'base = {stated}\nsummary = "x"\n'))


def test_a_part_of_a_task_says_so_in_its_name(make_record: MakeRecord) -> None:
    whole, part = load_task("smoke"), load_task("smoke@0.25")
    assert part == whole.scaled(0.25)
    assert (part.name, part.scale, part.simulate.patterns) == ("smoke@0.25", 0.25, 200)
    assert part.photons_agree("a" * 64) is None
    assert part.simulate == dataclasses.replace(whole.simulate, patterns=200)
    assert (whole.scaled(1), part.scaled(1)) == (whole, part)
    assert config.from_mapping(Task, config.to_mapping(part)) == part
    assert record.file_name(make_record(task=part.name)) == "smoke@0.25-xrai-0.json"


@pytest.mark.parametrize("fraction", ["0", "-1", "1.5", "nan"])
def test_what_is_no_part(fraction: str) -> None:
    with pytest.raises(ConfigError, match=r"scale is .*; expected above 0 and at most 1"):
        load_task(f"smoke@{fraction}")


def test_a_part_is_told_once_and_truly(write: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match="is scaled already"):
        load_task("smoke@0.5").scaled(0.5)
    with pytest.raises(ConfigError, match="expected a fraction of the patterns behind the @"):
        load_task("smoke@half")
    with pytest.raises(ConfigError, match=r"name is base; expected a name with @0\.5 at its end"):
        load_task(write("base.toml", "scale = 0.5\n" + BASE))
    with pytest.raises(ConfigError, match="expected no @, which marks a scaled task"):
        load_task(write("a@b.toml", BASE))


def test_parts_and_whole_tasks_are_never_mixed(make_record: MakeRecord, tmp_path: Path) -> None:
    part = load_task("quick@0.1")
    data = worker.Dataset(
        patterns=tmp_path, count=800, photons_per_pattern=9.0, seconds=1.0, photons_beyond=4.5
    )
    job = worker.Job(
        task=part, method="oracle", seed=0, dataset=data, directory=tmp_path, config_hash="a"
    )
    failed = worker.failed_record(job, "stuck", 1.0)
    assert (failed.task, failed.scale, failed.photons_beyond) == ("quick@0.1", 0.1, 4.5)
    assert failed.photons_agree is None
    both = [make_record(), make_record(task="quick@0.1", scale=0.1, seed=1)]
    table = dataframe.runs(both)
    assert dataframe.over_seeds(table)["count"].max() == 1
    assert table["scale"].tolist() == [1.0, 0.1]
    page = leaderboard.markdown(leaderboard.entries(both))
    assert [line for line in page.splitlines() if line.startswith("##")] == [
        "## quick",
        "## quick × 0.1",
    ]


def test_a_table_says_which_photons_it_counts(make_record: MakeRecord) -> None:
    old = make_record(date="2026-02-01T00:00:00+00:00", seed=1)
    assert "8,000 patterns, 5,000 photons per pattern, all counted. " in leaderboard.provenance(
        leaderboard.entries([old])
    )
    counted = leaderboard.entries([old, make_record(photons_beyond=1234.5)])
    assert "5,000 photons per pattern, 1,234 of them beyond s·D = 1.2. " in leaderboard.provenance(
        counted
    )


def test_tasks_of_suites_are_run_once_each() -> None:
    assert _names([], []) == ["quick"]
    assert _names(["smoke"], ["quick", "quick"]) == ["smoke", "quick"]


def test_the_command_lists_a_suite(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["xrai-bench", "tasks", "--suite", "photon-ladder"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    shown = capsys.readouterr().out
    assert [word for word in shown.split() if word.startswith("ladder-")] == [
        f"ladder-{rung}" for rung in LADDER
    ]
