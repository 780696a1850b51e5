"""Two hundred damaged files of each reader; ``python -m tests.fuzz`` does many more."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz import samples

CASES = 200


@pytest.mark.fuzz
def test_damaged_input_is_refused_or_read_rightly(repository: Path, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--cases", str(CASES), "--first", "300",
         "--json", told],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    outcomes = json.loads(told.read_text())["outcomes"]
    failures = [found for one in outcomes for found in one["failures"]]
    assert not failures, done.stdout[-3000:]
    assert len(outcomes) > 30
    assert all(one["cases"] == CASES for one in outcomes)
    assert sum(one["refused"] for one in outcomes) > len(outcomes), "the damage does damage"
    assert sum(one["accepted"] for one in outcomes) > len(outcomes), "not everything is refused"


@pytest.mark.fuzz
def test_what_a_reader_does_wrong_is_found(repository: Path, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    readers = [word for name in _BROKEN for word in ("--reader", name)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *readers, "--cases", "2", "--json", told],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-3000:]
    outcomes = json.loads(told.read_text())["outcomes"]
    found = {one["reader"]: {failure["error"] for failure in one["failures"]} for one in outcomes}
    assert found == {name: {error} for name, error in _BROKEN.items()}
    assert all(one["cases"] == 2 for one in outcomes)


_BROKEN = {
    "broken-crash": "SIGSEGV",
    "broken-memory": "MemoryError",
    "broken-error": "ZeroDivisionError",
    "broken-value": "AssertionError",
}


def test_samples_are_always_the_same(tmp_path: Path) -> None:
    """Else a case would be another one tomorrow."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        samples.write_all(tmp_path / name)
        time.sleep(1.1)  # the files' times are in seconds
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in _files(tmp_path / name)}
        for name in ("a", "b")
    )
    assert first == second


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())
