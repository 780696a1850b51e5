"""``xrai`` through its entry point: what it prints, and one clear message for bad input."""

import json
import sys
import tomllib

import h5py
import pytest

from xrai import cli
from xrai.config import TrainConfig
from xraisim.core.config import dumps


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs ``xrai`` and gives exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xrai", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def finished(patterns, brief_config, tmp_path_factory):
    """A run made by the command itself."""
    directory = tmp_path_factory.mktemp("cli")
    (directory / "mine.toml").write_text(dumps(brief_config))
    arguments = ["train", str(patterns), "--out", str(directory / "run")]
    arguments += ["--config", str(directory / "mine.toml"), "--seed", "5", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["xrai", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 0
    return directory / "run"


def test_train_writes_back_the_whole_configuration(finished, quick_config):
    written = tomllib.loads((finished / "config.toml").read_text())
    assert written["seed"] == 5
    assert written["start"]["rotations"] == quick_config.start.rotations
    assert written["volume"]["spectrum"] == TrainConfig().volume.spectrum


def test_export_poses_and_resume_of_a_finished_run(finished, run, tmp_path):
    code, _, err = run("export", finished, "--out", tmp_path / "volumes")
    assert code == 0, err
    assert (tmp_path / "volumes/intensity.mrc").exists()
    code, out, _ = run("poses", finished, "--encoder-only", "--out", tmp_path / "p.h5", "--json")
    assert code == 0
    with h5py.File(tmp_path / "p.h5") as file:
        assert len(file["orientations"]) == json.loads(out)["patterns"]
    before = json.loads((finished / "result.json").read_text())
    code, out, _ = run("resume", finished, "--json")
    assert code == 0
    assert json.loads(out)["seconds"] == before["seconds"]  # nothing was left to do


def test_the_mode_is_an_option(run):
    code, out, _ = run("train", "any.h5", "--show-config", "--mode", "amortised")
    assert code == 0
    assert 'mode = "amortised"' in out


def test_show_config_is_complete_and_can_be_read_back(run, tmp_path):
    code, out, _ = run("train", "any.h5", "--show-config", "--device", "cpu")
    assert code == 0
    assert tomllib.loads(out)["device"] == "cpu"
    assert set(tomllib.loads(out)) == {*vars(TrainConfig())} - {"resolution_angstrom"}  # unset


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeed = 1", "did you mean seed?"),
        ("[start]\nrotatons = 5", "did you mean start.rotations?"),
        ("seed = 'one'", "seed must be of type int"),
        ("[rounds]\nratio = 0.9", "rounds.ratio is 0.9; expected above 1"),
        ("seed = ", "is not a readable TOML file"),
    ],
)
def test_bad_configuration(run, patterns, tmp_path, text, message):
    (tmp_path / "bad.toml").write_text(text)
    out = tmp_path / "run"
    code, _, err = run("train", patterns, "--out", out, "--config", tmp_path / "bad.toml")
    assert code == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert not out.exists()


def test_bad_patterns_and_devices(run, patterns, tmp_path):
    truncated = tmp_path / "truncated.h5"
    truncated.write_bytes(patterns.read_bytes()[:5000])
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    cases = [
        ((tmp_path / "none.h5",), "no such pattern file"),
        ((truncated,), "not a readable HDF5 file"),
        ((text,), "not a readable HDF5 file"),
        ((patterns, "--device", "cuda:99"), "no compute device 'cuda:99'"),
        ((patterns, "--device", "abacus"), "no compute device 'abacus'"),
    ]
    for arguments, message in cases:
        out = tmp_path / "run"
        code, _, err = run("train", *arguments, "--out", out)
        assert code == 2, arguments
        assert message in " ".join(err.split())
        assert "Traceback" not in err
        assert not out.exists()


def test_commands_on_what_is_no_run(run, tmp_path):
    for command in ("resume", "export", "poses"):
        code, _, err = run(command, tmp_path)
        assert code == 2
        assert "expected a run directory" in " ".join(err.split())


def test_new_patterns_from_another_detector_are_refused(finished, run, patterns, tmp_path):
    other = tmp_path / "other.h5"
    other.write_bytes(patterns.read_bytes())
    with h5py.File(other, "r+") as file:
        file["detector/mask"][: 64 * 33] = 1
    code, _, err = run("poses", finished, other, "--out", tmp_path / "poses.h5")
    assert code == 2
    assert "another detector geometry, mask or beam" in " ".join(err.split())
    assert not (tmp_path / "poses.h5").exists()


@pytest.mark.filterwarnings("default::xraisim.core.renamed.RenamedWarning")
def test_settings_of_the_release_before_are_taken_with_a_notice(run, tmp_path):
    (tmp_path / "old.toml").write_text(
        "[rounds]\nreheats = 3\n[search]\nagain_rotations = 9000\n[amortised]\nrest = 0.1\n"
    )
    code, out, err = run("train", "--config", tmp_path / "old.toml", "--show-config")
    assert code == 0, err
    settings = tomllib.loads(out)
    assert settings["rounds"]["global_searches"] == 3
    assert settings["search"]["wide_rotations"] == 9000
    assert settings["amortised"]["tolerance"] == 0.1
    assert "notice: rounds.reheats is called rounds.global_searches now" in err
    assert err.count("notice:") == 3
