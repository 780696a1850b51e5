"""The page about a result that a program of somebody else left."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

import baselines.cli
import xrai.cli


@pytest.fixture
def foreign(tmp_path, lumps) -> Path:
    """A result as docs/results.md describes it, and no more than it asks for."""
    run = tmp_path / "foreign"
    run.mkdir()
    _volume(run / "intensity.h5", lumps.volume, 0.0)
    with h5py.File(run / "poses.h5", "w") as file:
        file.attrs["format"], file.attrs["version"] = np.bytes_("x-rai poses"), 2
        file["orientations"] = lumps.poses.numpy()
    result = {"format": "x-rai result", "version": 2, "method": "theirs", "seconds": 12.5}
    edge = {"patterns": 300, "d_min_angstrom": 1 / lumps.s_max_per_angstrom}
    (run / "result.json").write_text(json.dumps(result | edge))
    return run


def _volume(path: Path, volume, noise: float) -> None:
    values = volume.values.numpy()
    draw = np.random.default_rng(len(path.name) + ord(path.stem[-1]))
    with h5py.File(path, "w") as file:
        file.attrs["format"] = np.bytes_("x-rai volume 1")
        file["volume"] = values + noise * values.std() * draw.normal(size=values.shape)
        file["volume"].attrs["kind"] = "intensity"
        file["volume"].attrs["spacing"] = volume.spacing


@pytest.fixture
def report(monkeypatch):
    def call(command, *arguments) -> str:
        name = {xrai.cli: "xrai", baselines.cli: "xrai-baseline"}[command]
        monkeypatch.setattr("sys.argv", [name, "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            command.main()
        assert stopped.value.code == 0
        return (arguments[0] / "report.html").read_text()

    return call


def titles(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_it_has_all_that_its_files_tell(foreign, lumps, report):
    page = report(baselines.cli, foreign, "--patterns", lumps.patterns)
    assert titles(page) == [
        "Surfaces", "Intensity by resolution", "Intensity", "Patterns in numbers",
        "View directions", "Distances between poses", "Worst and best patterns", "Figures",
    ]  # fmt: skip
    assert "theirs" in page
    assert f"<b>{1 / lumps.s_max_per_angstrom:.1f} Å</b>" in page, "where its data end"
    assert "the agreement of half-sets, which this run has none of" in page


def test_half_sets_give_a_resolution(foreign, lumps, report):
    for half in (1, 2):
        _volume(foreign / f"half_{half}.h5", lumps.volume, 0.3)
    page = report(xrai.cli, foreign)
    assert "Agreement of half-sets" in titles(page)
    assert "resolution, icc_half_0.143" in page


def test_the_page_is_the_same_whichever_command_made_it(foreign, report, capsys):
    assert report(xrai.cli, foreign) == report(baselines.cli, foreign)
    assert "shows more" not in capsys.readouterr().err


def test_the_command_that_shows_more_is_named(foreign, report, capsys):
    told = json.loads((foreign / "result.json").read_text())
    for method, command, more in (
        ("emc", xrai.cli, "xrai-baseline report"),
        ("xrai", baselines.cli, "xrai report"),
    ):
        (foreign / "result.json").write_text(json.dumps(told | {"method": method}))
        page = report(command, foreign)
        assert f"{more} {foreign}" in page
        assert f"{more} {foreign} shows more" in " ".join(capsys.readouterr().err.split())


def test_a_result_of_version_1_is_read_with_a_notice(foreign, report, capsys):
    told = json.loads((foreign / "result.json").read_text())
    (foreign / "result.json").unlink()
    told = {name: told[name] for name in ("method", "patterns", "seconds")}
    (foreign / "summary.json").write_text(json.dumps(told))
    assert "theirs" in report(xrai.cli, foreign)
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: " in said
    assert "is of version 1, now result.json" in said
