"""A method of another package: found, given its settings, run in a process of its own, scored."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pipeline
from benchmarks.methods import METHODS, completed, find_method, installed, plugin
from benchmarks.task import Task, from_mapping
from xraisim.core.errors import ConfigError

STRICT = """
from dataclasses import dataclass
name = "strict"
@dataclass(frozen=True)
class Config:
    layers: tuple[int, ...] = (8, 8)
    def __post_init__(self):
        if not self.layers:
            raise ValueError("layers are none; give at least one")
def reconstruct(patterns, out, config, seed, progress): ...
"""


@pytest.fixture(scope="module")
def page(repository: Path) -> dict[str, list[str]]:
    """The blocks of the page that tells how, by their language."""
    text = (repository / "docs/how_to/my_method.md").read_text()
    found: dict[str, list[str]] = {}
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        found.setdefault(language, []).append(block)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, page: dict[str, list[str]]) -> Path:
    """What pip leaves of the page's package, with three methods more: one of them broken."""
    directory = tmp_path_factory.mktemp("site")
    (directory / "their_method.py").write_text(page["python"][1])
    (directory / "their_broken.py").write_text("import no_such_library\n")
    (directory / "their_strict.py").write_text(STRICT)
    project = tomllib.loads(page["toml"][0])["project"]
    named = project["entry-points"]["xrai.methods"] | {
        "wrecked": "their_broken", "strict": "their_strict", "emc": "their_method",
    }  # fmt: skip
    about = directory / "their_method.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [f"{name} = {module}" for name, module in named.items()]
    (about / "entry_points.txt").write_text("\n".join(["[xrai.methods]", *lines]) + "\n")
    return directory


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory, page: dict[str, list[str]]) -> Path:
    smoke = (files("benchmarks") / "tasks" / "regression" / "smoke.toml").read_text()
    path = tmp_path_factory.mktemp("task") / "small.toml"
    path.write_text(
        smoke.replace("patterns = 800", "patterns = 60")
        + page["toml"][1]
        + "\n[methods.nobodys]\nx = 1\n"
    )
    return path


def test_a_strangers_method_has_a_row_and_a_broken_one_says_why(
    site: Path, task: Path, tmp_path: Path
) -> None:
    # In a process of its own: a run is one, and finds the package by what it finds on its path.
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", str(Path.cwd()))])
    chosen = ("--method", "theirs", "--method", "wrecked", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cli", "run", "--task", str(task), *chosen],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr  # for the broken one
    rows = {row["method"]: row for row in json.loads(done.stdout)}
    assert rows["theirs"]["error"] == ""
    assert rows["theirs"]["versions"]["their-method"] == "1.0"
    assert rows["theirs"]["metrics"]["pose_error_median_deg"]["value"] > 20
    assert "No module named 'no_such_library'" in rows["wrecked"]["error"]
    assert "their_broken of their-method 1.0" in rows["wrecked"]["error"]
    assert "[methods.nobodys] is not used" in done.stderr
    run = tmp_path / "runs/bench/small/theirs-0"
    kept = json.loads((run / "record.json").read_text())
    assert kept["config"]["methods"] == {"theirs": {"oversampling": 4.0, "layers": [8, 8]}}


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The registered methods, as they are again afterwards."""
    before = dict(METHODS)
    yield METHODS
    METHODS.clear()
    METHODS.update(before)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch, methods: dict[str, Any], site: Path) -> dict[str, Any]:
    """The registered methods, with those of the package."""
    monkeypatch.syspath_prepend(site)
    (found,) = Distribution.discover(path=[str(site)])
    plugin.register_plugins(found.entry_points)
    return methods


def _task(**settings: Any) -> Task:
    made = {"name": "mine", "summary": "", "simulate": {"structure": "4v5d"}}
    return from_mapping(made | {"methods": settings})


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"theirs": {"layer": [1]}}, r"key methods.theirs.layer; did you mean methods.theirs.laye"),
        ({"theirs": {"oversampling": "x"}}, "theirs.oversampling must be of type float, found 'x'"),
        ({"strict": {"layers": []}}, r"\[methods.strict\]: layers are none; give at least one"),
    ],
)
def test_its_settings_are_checked_before_anything_is_made(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^task mine: .*{message}"):
        pipeline.run([_task(**given)], list(given), [0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("theirs")
def test_a_run_is_another_one_with_other_settings_of_its_own() -> None:
    def settings(**tables: Any) -> dict[str, Any]:
        return pipeline._settings(completed(_task(**tables), "theirs"), "theirs")

    assert settings() == settings(theirs={"oversampling": 3.2}, nobodys={"x": 1})
    assert settings() != settings(theirs={"oversampling": 4.0})
    assert settings()["versions"] == {"their-method": "1.0"}


def test_a_name_that_is_taken_stays_whose_it_is(theirs: dict[str, Any]) -> None:
    assert theirs["emc"].section == "emc"
    assert "another method has its name" in theirs["their-method:emc"].broken()
    with pytest.raises(ConfigError, match="did you mean theirs"):
        find_method("their")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise SystemExit('stop')", "SystemExit: stop"),
        ("name = 'other'\ndef reconstruct(*_): ...", "says that its name is 'other'; its entry"),
        ("name = 'odd'", "no function reconstruct"),
        ("name = 'odd'\nConfig = dict\ndef reconstruct(*_): ...", "expected a dataclass"),
    ],
)
def test_what_is_wrong_with_a_plug_in_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    methods: dict[str, Any],
    tmp_path: Path,
    body: str,
    message: str,
) -> None:
    module = f"odd_{abs(hash(body))}"
    (tmp_path / f"{module}.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    plugin.register_plugins([EntryPoint("odd", module, plugin.GROUP)])
    assert message in methods["odd"].broken()
    assert "odd" not in installed([_task()])
    assert "odd is left out:" in capsys.readouterr().err


def test_settings_of_our_methods_have_tables_of_their_own() -> None:
    with pytest.raises(ConfigError, match=r"settings of oracle are in \[merge\]"):
        completed(_task(oracle={"symmetry": "C1"}), "floor")
