"""Energy of the stages: in the record where the machine tells, in tables where a record has it."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

import benchmarks
from benchmarks import leaderboard
from benchmarks.dataframe import runs
from benchmarks.record import Record
from benchmarks.worker import Stages
from xraisim.core import energy

MakeRecord = Callable[..., Record]
USED = {"reconstruct": 4000.0, "phase": 500.0}


def test_a_stage_has_its_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"name": "package-0", "energy_uj": 5, "max_energy_range_uj": 10**9}.items():
        (tmp_path / "intel-rapl:0").mkdir(exist_ok=True)
        (tmp_path / "intel-rapl:0" / name).write_text(str(value))
    monkeypatch.setattr(energy, "measured", functools.partial(energy.measured, tmp_path))
    stages = Stages()
    with stages.stage("phase"):
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text("7500005")
    with stages.stage("score"):
        (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert stages.energy_joule == {"phase": 7.5}
    assert set(stages.seconds) == set(stages.peak_gib) == {"phase", "score"}


def test_energy_is_a_column_where_any_row_has_it(make_record: MakeRecord) -> None:
    told, untold = make_record(energy_joule=USED), make_record(method="emc")
    table = runs([told, untold])
    assert table.energy_joule.tolist()[0] == 4500.0
    assert table.energy_joule.isna().tolist() == [False, True]
    assert table.energy_joule_phase.tolist()[0] == 500.0
    assert (
        benchmarks.over_seeds(table).loc[("quick", "xrai", "run", "open", "energy_joule"), "count"]
        == 1
    )
    found = leaderboard.entries([told, untold])
    columns = leaderboard.columns(found)
    assert columns[-1].name == "energy (J)"
    cells = {entry.method: leaderboard.row(entry, columns)[-1] for entry in found}
    assert cells == {"xrai": "4,500", "emc": "–"}
    (shown,) = leaderboard.tables(found)
    assert len(shown.columns) == len(columns) - 1  # a terminal has no room for it
    assert "energy (J)" not in [
        one.name for one in leaderboard.columns(leaderboard.entries([untold]))
    ]
