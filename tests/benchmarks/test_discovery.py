"""A new file in a package of registered things is found, after those that are named."""

import importlib
from pathlib import Path

import pytest

from benchmarks.methods import METHODS
from benchmarks.metrics import METRICS

SOURCE = """
from benchmarks.discovery import import_modules

found = []
import_modules(__name__, first=("second",))
"""


def test_every_module_is_imported_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "registering"
    package.mkdir()
    (package / "__init__.py").write_text(SOURCE)
    for name in ("first", "second", "third"):
        (package / f"{name}.py").write_text(
            f"import registering\n\nregistering.found.append('{name}')\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("registering").found == ["second", "first", "third"]


def test_every_file_registers_something(repository: Path) -> None:
    read = [one.curve.shells if one.curve else one.measure for one in METRICS.values()]
    owners = {one.__module__ for one in (*read, *(m.reconstruct for m in METHODS.values()))}
    for folder in ("methods", "metrics"):
        files = {path.stem for path in (repository / "benchmarks" / folder).glob("*.py")}
        for name in files - {"__init__", "registry", "plugin"}:  # what registering is made of
            assert f"benchmarks.{folder}.{name}" in owners
