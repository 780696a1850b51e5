"""The page of an EMC run: whole, unfinished, with classes and halves; what is refused."""

import re

import h5py
import numpy as np
import pytest
import torch

from baselines.panels import METHODS, progress, starts
from xraisim.core.errors import FormatError
from xraisim.core.random import generator
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.volumes import write_volume
from xraisim.report import page as pages
from xraisim.report.patterns import score
from xraisim.report.run import read_run
from xraisim.report.volumes import slices


def titles(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def head(run) -> dict[str, str]:
    return pages.head(run, METHODS)


def write_report(run, path, patterns=None):
    return pages.write_report(run, path, METHODS, patterns=patterns)


def test_a_finished_run_with_its_patterns(case, invoke, tmp_path):
    out = tmp_path / "page.html"
    assert invoke("report", case.directory, "--patterns", case.patterns, "--out", out) == 0
    page = out.read_text()
    assert titles(page) == [
        "Surfaces", "Progress", "Random starts", "Intensity by resolution", "Intensity",
        "Patterns in numbers", "View directions", "Distances between poses",
        "Worst and best patterns", "Figures", "Configuration",
    ]  # fmt: skip
    assert page.count("<figure") == 8
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("data:", "#")) for source in sources)
    for missing in ("the agreement of half-sets", "--density"):
        assert missing in page
    assert "--patterns" not in page
    assert "device = &#34;&lt;cpu&gt;&#34;" in page, "what a file says is text, not markup"


def test_the_head_line(case):
    shown = head(read_run(case.directory))
    assert shown == {
        "patterns": "300",
        "resolution, edge of the data used, unmeasured": "30.0 Å",
        "iterations": "8",
        "patterns per second": "300",
        "time": "67 min",
        "peak memory": "1.25 GiB",
        "hardware": "cpu",
    }


def test_an_unfinished_run_says_what_is_missing(metrics, write_metrics, tmp_path):
    write_metrics(tmp_path / "run", metrics)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 9, "lev')  # being written
    write_report(tmp_path / "run", tmp_path / "run" / "report.html")
    page = (tmp_path / "run" / "report.html").read_text()
    assert titles(page) == ["Progress", "Random starts"]
    assert "iterations, unfinished" in page
    for missing in ("the intensity, which", "--patterns", "poses, which"):
        assert missing in page
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "metrics.jsonl",
        "report.html",
    ]


def test_one_start_is_not_compared(metrics, write_metrics, tmp_path):
    write_metrics(tmp_path, metrics[:3])
    assert starts(read_run(tmp_path)) is None


def test_classes_and_half_sets_are_found(case, lumps):
    draw, values = generator(1, "noise"), lumps.volume.values
    for name in ("half1", "half2", "1", "2"):
        noise = 0.3 * values.std() * torch.randn(values.shape, generator=draw)
        noisy = (values + noise).clamp_min(0)  # a misfit needs intensities
        noisy = Volume(values=noisy, spacing=lumps.volume.spacing, kind="intensity")
        write_volume(case.directory / f"intensity_{name}.h5", noisy)
    with h5py.File(case.directory / "poses.h5", "a") as file:
        file["class_id"] = [1, 2, 3] * 100  # no volume of class 3
        file["orientations"][0] = np.nan  # a pattern that was not used
        file["class_probability"] = torch.linspace(0.5, 1, 300).numpy()
    run = read_run(case.directory)
    assert list(run.volumes) == [1, 2]
    assert "resolution, icc_half_0.143" in head(run)
    named = [axes.get_title(loc="left") for axes in slices(run.named_volumes(), run.s_range).axes]
    assert [name for name in named if name] == ["class 1", "class 2"]
    with PatternReader(case.patterns) as reader:
        known = np.isfinite(score(run.predictor(reader.n_patterns), reader).misfit)
    assert known.tolist() == [False, True, False] + [True, True, False] * 99


@pytest.mark.parametrize("name", ["icc_half_0.143_angstrom", "icc_half_angstrom"])
def test_a_resolution_that_the_run_measured_comes_first(metrics, write_metrics, tmp_path, name):
    metrics[-2][name], metrics[-1][name] = 33.0, None
    write_metrics(tmp_path, metrics)
    assert head(read_run(tmp_path))["resolution, icc_half_0.143"] == "33.0 Å"
    metrics[-2]["reached_edge"] = True
    write_metrics(tmp_path, metrics)
    assert head(read_run(tmp_path))["resolution, icc_half_0.143"] == "≤ 33.0 Å so far"


def test_what_is_no_run_is_refused(invoke, tmp_path, capsys):
    assert invoke("report", tmp_path / "nowhere") == 2
    assert "is not the directory of a run" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"level": 1}\n{"level": 2}\n', "not every line has a restart"),
        ("half a line\n", "line 1 is not a readable JSON object"),
    ],
)
def test_metrics_of_something_else_are_refused(tmp_path, text, message):
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(FormatError, match=message):
        progress(read_run(tmp_path))


def test_damaged_files_are_named(case):
    (case.directory / "result.json").write_text("[1, 2")
    with pytest.raises(FormatError, match=r"result\.json is not a readable JSON object"):
        read_run(case.directory)
    (case.directory / "result.json").unlink()
    (case.directory / "poses.h5").write_bytes(b"not HDF5")
    with pytest.raises(FormatError, match=r"poses\.h5 is not a readable file of poses"):
        read_run(case.directory)


def test_patterns_of_another_run_are_refused(case, tmp_path):
    with h5py.File(case.directory / "poses.h5", "r+") as file:
        for name in list(file):
            shorter = file[name][:200]
            del file[name]
            file[name] = shorter
    with pytest.raises(FormatError, match=r"holds 300 patterns, but .* has poses of 200"):
        write_report(case.directory, tmp_path / "a.html", case.patterns)
    assert not (tmp_path / "a.html").exists()
