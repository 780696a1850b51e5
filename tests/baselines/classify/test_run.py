"""Classification and selection from pattern file to EMC."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
import torch

from baselines import cli
from baselines.classify import ClassifyConfig, classify
from baselines.classify.selection import read_selection, select
from baselines.emc import EmcConfig, Level, reconstruct
from baselines.panels import METHODS
from xraisim.core import config as toml
from xraisim.core.errors import FormatError, UserError
from xraisim.files.patterns import PatternReader
from xraisim.files.truth import read_truth, truth_path
from xraisim.report.page import write_report

BLANK, SINGLE = 0, 1


def test_the_run_directory_is_complete(classified, settings):
    directory, summary = classified
    assert {p.name for p in directory.iterdir()} == {
        "config.toml", "metrics.jsonl", "classes.h5", "averages.h5", "averages.png", "result.json",
    }  # fmt: skip
    assert toml.load(ClassifyConfig, directory / "config.toml") == settings
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(1, len(lines) + 1))
    assert json.loads((directory / "result.json").read_text())["patterns"] == 400
    assert not [path for path in directory.glob("*.h5") if b"GCOL" in path.read_bytes()]
    with h5py.File(directory / "classes.h5") as file:
        np.testing.assert_allclose(file["probability"][()].sum(1), 1, rtol=1e-4)
        lit = file["class_id"][()] > 0
        assert file["fluence"][()][lit].mean() == pytest.approx(1, abs=0.02)
        assert np.isfinite(file["log_likelihood_per_photon"][()]).tolist() == lit.tolist()
    with h5py.File(directory / "averages.h5") as file:
        assert file["averages"].shape == (settings.classes + 1, 41, 41)
    assert sum(row.patterns for row in summary.figures["classes"]) == 400


def test_it_has_a_page(classified, settings, tmp_path):
    write_report(classified[0], tmp_path / "page.html", METHODS)
    page = (tmp_path / "page.html").read_text()
    assert "<h2>Classes</h2>" in page
    assert page.count("<tr><th>") > settings.classes + 1


def test_single_hits_are_selected(mixture, settings, classified, tmp_path):
    """Blanks are all found; classes hold particles or spheres, and no sphere passes for one."""
    directory, _ = classified
    hits = read_truth(truth_path(mixture)).hits
    with h5py.File(directory / "classes.h5") as file:
        class_id = file["class_id"][()]
    assert ((class_id == 0) == (hits == BLANK)).all()
    pure = [
        np.bincount(hits[class_id == c], minlength=4).max() for c in range(1, settings.classes + 1)
    ]
    assert sum(pure) / (class_id > 0).sum() > 0.95
    select(directory, "auto", tmp_path / "selection.h5")
    chosen = read_selection(tmp_path / "selection.h5", mixture).numpy()
    assert (hits[chosen] == SINGLE).mean() > 0.95
    # Views along its axis make a round average, and are lost: 88 % were measured.
    assert chosen[hits == SINGLE].mean() > 0.8


def test_emc_takes_only_the_selection(mixture, tmp_path, classified):
    select(classified[0], "auto", tmp_path / "selection.h5")
    chosen = read_selection(tmp_path / "selection.h5", mixture)
    level = Level(reach=2.0, rotations=60, iterations=1)
    config = EmcConfig(levels=(level,), restarts=1)
    summary = reconstruct(mixture, tmp_path / "run", config, chosen=chosen)
    assert summary.patterns == int(chosen.sum())
    with h5py.File(tmp_path / "run" / "poses.h5") as file:
        assert np.isfinite(file["orientations"][()]).all(1).tolist() == chosen.tolist()
        assert np.isfinite(file["fluence"][()]).tolist() == chosen.tolist()


def test_bright_patterns_can_be_left_out(mixture, classified, tmp_path):
    every = select(classified[0], "auto", tmp_path / "every.h5")
    dim = select(classified[0], "auto", tmp_path / "dim.h5", brightest=1.0)
    assert dim == pytest.approx(every / 2, abs=1)
    with h5py.File(classified[0] / "classes.h5") as file:
        fluence = file["fluence"][()]
    kept, all_ = (read_selection(tmp_path / f"{n}.h5", mixture).numpy() for n in ("dim", "every"))
    assert fluence[kept].max() <= np.median(fluence[all_])


def test_resuming_gives_the_same_as_not_stopping(mixture, settings, tmp_path):
    config = dataclasses.replace(settings, restarts=2, iterations=4)
    left = [6]

    def interrupt(units=1, remark=""):
        left[0] -= units
        if left[0] <= 0:
            raise KeyboardInterrupt

    whole = classify(mixture, tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        classify(mixture, tmp_path / "run", config, progress=interrupt)
    with pytest.raises(UserError, match="other patterns or settings"):
        classify(mixture, tmp_path / "run", dataclasses.replace(config, seed=1), resume=True)
    again = classify(mixture, tmp_path / "run", config, resume=True)
    assert again.figures["iterations"] == whole.figures["iterations"]
    assert again.figures["starts"] == pytest.approx(whole.figures["starts"], rel=1e-6)
    with pytest.raises(FormatError, match="nothing to resume"):
        classify(mixture, tmp_path / "run", config, resume=True)


def test_blocks_do_not_matter(mixture, settings, tmp_path):
    config = dataclasses.replace(settings, block_patterns=37, cache_gib=0.0, iterations=2)
    whole = classify(mixture, tmp_path / "a", dataclasses.replace(settings, iterations=2))
    parts = classify(mixture, tmp_path / "b", config)
    assert parts.figures["starts"] == pytest.approx(whole.figures["starts"], rel=1e-4)


@pytest.fixture
def invoke(monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["xrai-baseline", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, capfd.readouterr()

    return run


def test_commands(mixture, classified, tmp_path, invoke):
    directory, out = classified[0], tmp_path / "selection.h5"
    code, said = invoke("select", directory, "--classes", "0,2", "--out", out)
    assert code == 0
    assert "patterns selected" in said.err
    wrong = {
        ("select", directory, "--keep", "1", "--out", out): "is there already",
        ("select", directory, "--keep", "1,77", "--out", out, "--force"): "numbers from 0 to 6",
        ("select", tmp_path, "--keep", "1", "--out", out, "--force"): "no such file",
        ("emc", mixture, "--out", tmp_path / "run", "--selection", mixture): "found format",
        ("classify", mixture, "--out", tmp_path / "run", "--classes", "0"): "expected 1 to",
    }
    for arguments, expected in wrong.items():
        code, said = invoke(*arguments)
        assert code == 2
        assert expected in " ".join(said.err.split())
    small = tmp_path / "small.toml"
    small.write_text("reach = 2.5\niterations = 2\nrestarts = 1\n")
    code, said = invoke(
        "classify", mixture, "--out", tmp_path / "c", "--config", small, "--classes", 3,
        "--keep", "0",
    )  # fmt: skip
    assert code == 0
    assert "blank" in said.out
    assert (tmp_path / "c" / "selection.h5").exists()


def test_selected_patterns_become_a_file_of_their_own(mixture, classified, tmp_path, invoke):
    selection, single = tmp_path / "selection.h5", tmp_path / "single.h5"
    code, _ = invoke(
        "select", classified[0], "--keep", "auto", "--out", selection, "--write", single
    )
    assert code == 0
    numbers = np.flatnonzero(read_selection(selection, mixture).numpy())
    with PatternReader(mixture) as whole, PatternReader(single) as part:
        assert part.n_patterns == len(numbers)
        assert torch.equal(part.pixels.s, whole.pixels.s)
        assert torch.equal(part.pixels.background, whole.pixels.background)
        kept, all_ = part.read(0, len(numbers)), whole.read(0, whole.n_patterns).take(numbers)
        assert np.array_equal(kept.offsets, all_.offsets)
        assert np.array_equal(kept.pixel, all_.pixel)
        assert np.array_equal(kept.count, all_.count)
    assert not truth_path(single).exists()
    code, said = invoke(
        "select", classified[0], "--keep", "auto", "--out", selection, "--write", mixture, "--force"
    )
    assert code != 0
    assert "same file" in said.err
