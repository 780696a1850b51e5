"""Counters of energy in a directory like that of Linux, which the tests turn on by hand."""

import os
import time
from pathlib import Path

import pytest

from xraisim.core import energy
from xraisim.core.energy import Energy, measured

RANGE_UJ = 65_532_610_987


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages, what is within one, the same again under its other name, and the platform."""
    for name, kind in {
        "intel-rapl": "", "intel-rapl:0": "package-0", "intel-rapl:1": "package-1",
        "intel-rapl:0:0": "core", "intel-rapl-mmio:0": "package-0", "intel-rapl:2": "psys",
    }.items():  # fmt: skip
        (tmp_path / name).mkdir()
        if kind:
            (tmp_path / name / "name").write_text(f"{kind}\n")
            (tmp_path / name / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
            turn(tmp_path, name, 1_000_000)
    return tmp_path


def turn(powercap: Path, zone: str, to_uj: int) -> None:
    (powercap / "next").write_text(f"{to_uj}\n")
    (powercap / "next").replace(powercap / zone / "energy_uj")  # never half written


def test_packages_are_added_and_nothing_else(powercap: Path) -> None:
    with measured(powercap) as used:
        turn(powercap, "intel-rapl:0", 4_500_000)
        turn(powercap, "intel-rapl:1", 2_000_000)
        for other in ("intel-rapl:0:0", "intel-rapl-mmio:0", "intel-rapl:2"):
            turn(powercap, other, 900_000_000)
    assert used.joule == pytest.approx(3.5 + 1.0)


def test_a_counter_that_begins_again_goes_on(powercap: Path) -> None:
    turn(powercap, "intel-rapl:0", RANGE_UJ - 2_000_000)
    counted = Energy(powercap)
    turn(powercap, "intel-rapl:0", 3_000_000)
    counted.count()
    turn(powercap, "intel-rapl:0", 7_000_000)
    counted.count()
    assert counted.joule == pytest.approx(2.0 + 3.0 + 4.0)


def test_counters_are_read_meanwhile(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Twice around within one block: by the ends alone it would be a range less.
    monkeypatch.setattr(energy, "_POLL_S", 0.001)
    with measured(powercap) as used:
        for to in (RANGE_UJ // 2, 0, RANGE_UJ // 2, 0):
            before = used.joule
            turn(powercap, "intel-rapl:0", to)
            deadline = time.monotonic() + 5
            while used.joule == before and time.monotonic() < deadline:
                time.sleep(0.001)
    assert used.joule == pytest.approx(2 * RANGE_UJ / 1e6 - 1.0)


@pytest.mark.parametrize("lost", ["energy_uj", "max_energy_range_uj"])
def test_a_machine_that_does_not_tell_has_none(powercap: Path, lost: str) -> None:
    for path in (powercap / "nothing", powercap / "intel-rapl:0"):
        with measured(path) as used:
            pass
        assert used.joule is None
    (powercap / "intel-rapl:1" / lost).unlink()
    with measured(powercap) as used:
        turn(powercap, "intel-rapl:0", 4_500_000)
    assert used.joule is None  # half of a machine would look like a saving


def test_a_counter_that_may_not_be_read(powercap: Path) -> None:
    path = powercap / "intel-rapl:0" / "energy_uj"
    with measured(powercap) as used:
        path.chmod(0)
        if os.access(path, os.R_OK):  # root reads everything
            path.unlink()
    assert used.joule is None
