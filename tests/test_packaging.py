"""One distribution, four packages, installed as the README says."""

import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = ["xraisim", "xrai", "baselines", "benchmarks"]
SCRIPTS = {"xrai-sim", "xrai", "xrai-baseline", "xrai-bench"}


@pytest.mark.parametrize("name", PACKAGES)
def test_imported_packages_are_ours(name: str, repository: Path) -> None:
    # `benchmarks` and `baselines` are common names: another one on the path must not win.
    found = Path(importlib.import_module(name).__file__ or "").resolve()
    installed = Path(str(distribution("x-rai").locate_file(name))) / "__init__.py"
    assert found in {repository / name / "__init__.py", installed.resolve()}


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel built from this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-q", "-w", str(out), str(repository)], check=True)
    (path,) = out.glob("x_rai-*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_wheel_holds_the_four_packages_and_nothing_else(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert not [name for name in wheel if "/tests/" in name or "__pycache__" in name]


def test_wheel_is_complete_without_studies(wheel: set[str], repository: Path) -> None:
    assert "xraisim/shipped/4v5d.cif.gz" in wheel
    for package in PACKAGES:
        for path in (repository / package).rglob("*"):
            name = path.relative_to(repository).as_posix()
            if path.suffix in {".py", ".toml", ".j2", ".css", ".js"}:
                assert (name in wheel) != name.startswith("benchmarks/studies/"), name


def _sh_blocks(readme: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)\n```$", readme, flags=re.MULTILINE | re.DOTALL)


def test_readme_has_two_commands_and_ci_runs_the_second(repository: Path) -> None:
    run, test = _sh_blocks((repository / "README.md").read_text())
    assert run.endswith(".venv/bin/xrai-bench run")
    assert test.endswith(".venv/bin/pytest")
    for command in (run, test):
        assert "\n" not in command
        assert "pip install -c constraints.txt" in command
    script = (repository / ".ci" / "run").read_text()
    (extract,) = re.findall(r"test_command=\$\((.*?)\)$", script, flags=re.MULTILINE)
    found = subprocess.run(
        ["bash", "-c", extract], cwd=repository, check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == test


@pytest.mark.parametrize("name", ["run", "versions"])
def test_ci_script_is_executable_and_parses(repository: Path, name: str) -> None:
    script = repository / ".ci" / name
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_constraints_pin_every_dependency_within_its_range(repository: Path) -> None:
    lines = (repository / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    assert pins["torch"] == "2.13.0"
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    for text in [*project["dependencies"], *extras]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), text


def test_no_local_build_or_path_is_pinned(repository: Path) -> None:
    text = (repository / "constraints.txt").read_text()
    assert not re.search(r"\+|@|^-e|x-rai==", text, flags=re.MULTILINE)


def test_the_version_is_stated_alike(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    stated = rf"^version: {re.escape(project['version'])}$"
    assert re.search(stated, (repository / "CITATION.cff").read_text(), flags=re.MULTILINE)
    section = rf"^## \[{re.escape(project['version'])}\] - \d{{4}}-\d\d-\d\d$"
    assert re.search(section, (repository / "CHANGELOG.md").read_text(), flags=re.MULTILINE)


def test_console_scripts_exist() -> None:
    assert {script.name for script in _scripts()} == SCRIPTS


def _scripts() -> list:
    return [s for s in entry_points(group="console_scripts") if s.dist and s.dist.name == "x-rai"]


def _commands() -> list[tuple[str, str]]:
    found = []
    for script in _scripts():
        app = importlib.import_module(script.module).app
        names = [c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands]
        found += [(script.name, name) for name in ["", *names]]
    return found


@pytest.mark.parametrize(("script", "command"), _commands())
def test_help_works(
    script: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    main = next(s for s in _scripts() if s.name == script).load()
    monkeypatch.setattr("sys.argv", [script, *([command] if command else []), "--help"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert "Usage" in capsys.readouterr().out
