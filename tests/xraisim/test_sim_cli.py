import errno
import json
import sys
import warnings

import h5py
import numpy as np
import pytest

from xraisim import cli, console
from xraisim.checks.validate import listing
from xraisim.core.config import to_mapping
from xraisim.files.patterns import PatternReader
from xraisim.files.truth import read_truth
from xraisim.instrument.detector import geometry
from xraisim.simulation.config import SimulationConfig, from_mapping
from xraisim.simulation.make import simulate
from xraisim.simulation.simulator import check_speckle_sampling

CONFIG = """
patterns = 5
[beam]
photons_per_pulse = 1e17
[detector]
rows = 24
columns = 24
pixel_size_mm = 4.0
"""


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs ``xrai-sim`` and gives exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xrai-sim", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def made(run, small_particle, config_file, tmp_path):
    """A pattern file made by the command."""
    out = tmp_path / "made.h5"
    code, text, _ = run(
        "make",
        "--pdb",
        small_particle,
        "--config",
        config_file,
        "--seed",
        3,
        "--out",
        out,
        "--json",
    )
    assert code == 0
    return out, json.loads(text)


def test_make_writes_patterns_and_truth_apart(made):
    out, summary = made
    assert summary["patterns"] == 5
    assert summary["photons_per_pattern"] > 10
    with PatternReader(out) as reader:
        assert reader.n_patterns == 5
        assert {"commitment", "patterns", "versions"} == set(reader.info["provenance"])
    truth = read_truth(summary["truth_path"])
    assert truth.orientations.shape == (5, 4)
    np.testing.assert_allclose(np.linalg.norm(truth.orientations, axis=1), 1, rtol=1e-5)
    assert "seed = 3" in truth.config
    assert 'polarisation = "x"' in truth.config
    with h5py.File(out) as file:
        assert "orientations" not in str(list(file.keys()))


def test_the_same_seed_gives_the_same_photons_and_another_others(small_particle, tmp_path):
    def photons(seed, patterns):
        config = from_mapping(
            {"structure": str(small_particle), "patterns": patterns, "seed": seed}
            | {"beam": {"photons_per_pulse": 1e17}, "detector": {"rows": 24, "columns": 24}}
        )
        simulate(config, tmp_path / "x.h5")
        with PatternReader(tmp_path / "x.h5") as reader:
            block = reader.read_raw(0, 4)
        return block.pixel.tolist(), block.count.tolist()

    assert photons(1, 4) == photons(1, 6)
    assert photons(1, 4) != photons(2, 4)


def test_inspect_writes_a_picture(run, made):
    out, summary = made
    code, text, _ = run("inspect", out, "--json")
    assert code == 0
    figures = json.loads(text)
    assert figures["patterns"] == 5
    assert figures["detector_shape"] == [24, 24]
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert figures["photons_per_pattern_mean"] == pytest.approx(summary["photons_per_pattern"])


def test_validate_passes_a_good_file_and_fails_a_bad_one(run, made):
    out, _ = made
    code, text, _ = run("validate", out)
    assert (code, text.count("passed")) == (0, len(listing()))
    with h5py.File(out, "r+") as file:
        file["detector/gain"][...] *= 1.01
        file["orientations"] = np.eye(4)
        file["photons/count"][0] = 0
        first = int(file["photons/pixel"][1])
        file["detector/mask"][first] = 1
    code, text, _ = run("validate", out)
    assert (code, text.count("failed")) == (1, 4)


def test_instruments_lists_the_presets(run):
    code, text, _ = run("instruments", "--json")
    assert code == 0
    assert json.loads(text)["xrai2025"]["beam"]["photon_energy_ev"] == 4600.0


def test_beam_and_detector_tables_change_only_the_keys_they_name():
    config = from_mapping({"detector": {"rows": 64}})
    assert config.detector.rows == 64
    assert config.detector.columns == 128
    assert from_mapping(to_mapping(config)) == config
    assert from_mapping({}) == SimulationConfig()


def test_the_embedded_task_is_sampled_well_enough():
    """The 50S subunit on the published detector; checked without simulating."""
    config = SimulationConfig(chains="B*")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = geometry(config.detector, config.beam)
        check_speckle_sampling(266.0, seen, config.beam.wavelength_angstrom)


def refused(run, tmp_path, *arguments):
    """Run make, check that it fails as a user error does, and return its message."""
    out = tmp_path / "out" / "bad.h5"
    code, _, text = run("make", "--out", out, *arguments)
    assert code == 2
    assert text.count("error:") == 1
    assert "Traceback" not in text
    assert not list(tmp_path.glob("out/*"))
    return " ".join(text.split())


def test_bad_input_is_one_message(run, tmp_path, small_particle, config_file):
    def message(*arguments):
        return refused(run, tmp_path, *arguments)

    particle = ("--pdb", small_particle, "--config", config_file)
    assert "no such file" in message("--pdb", tmp_path / "absent.pdb")
    assert "no chain matches" in message(*particle, "--chains", "Q")
    assert "no biological assembly" in message(*particle, "--assembly", "7")
    assert "unknown instrument" in message(*particle, "--instrument", "lcls9")
    assert "no usable pixel" in message(*particle, "--resolution", "1e9")
    assert "above zero" in message(*particle, "--resolution", "0")
    assert "expected 1 to" in message(*particle, "--n", "0")
    assert "does not exist" in message("--pdb", "zz", "--structures", tmp_path / "none")
    config_file.write_text("patern = 5")
    assert "did you mean patterns?" in message(*particle)
    config_file.write_text("patterns = ")
    assert "not a readable TOML file" in message(*particle)
    config_file.write_text("[beam]\npolarisation = 'z'")
    assert "expected one of x, y" in message(*particle)


def test_an_unknown_identifier_without_network_is_one_message(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XRAI_STRUCTURE_SITES", "http://127.0.0.1:9/{id}")
    monkeypatch.setenv("XRAI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert "Check the network" in refused(run, tmp_path, "--pdb", "9zzz")


def test_too_large_a_particle_says_what_sampling_is_needed(run, tmp_path, write_pdb):
    lines = [
        f"ATOM  {i:5d}  C   GLY A{i:4d}    {x:8.3f}   0.000   0.000  1.00 10.00           C\n"
        for i, x in enumerate((-500, 0, 500), 1)
    ]
    text = refused(run, tmp_path, "--pdb", write_pdb(lines), "--instrument", "xrai2025")
    assert "too large for the pixel size" in text
    # 200 mm × 2.695 Å / (2 × 1000 Å)
    assert "pixels of 0.27 mm or less at 200 mm" in text


def test_a_full_disk_is_one_message(run, tmp_path, small_particle, config_file, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(h5py.Dataset, "resize", full)
    text = refused(run, tmp_path, "--pdb", small_particle, "--config", config_file)
    assert "no space left on the disk" in text


def test_debug_shows_the_traceback(run, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xrai-sim", "make", "--pdb", "/absent.pdb", "--debug"])
    with pytest.raises(ValueError, match="no such file"):
        cli.main()


@pytest.mark.parametrize("command", ["inspect", "validate"])
def test_reading_a_wrong_file_is_one_message(run, tmp_path, command):
    path = tmp_path / "wrong.h5"
    path.write_text("nothing")
    code, _, text = run(command, path)
    assert code == 2
    assert text.count("error:") == 1
    assert not path.with_suffix(".png").exists()


def test_brackets_of_a_help_text_are_shown(run):
    code, out, _ = run("convert", "--help")
    assert code == 0
    assert "[beam]" in out


def test_brackets_of_a_path_are_no_markup(run, tmp_path):
    code, _, err = run("validate", tmp_path / "[/red] [bold]a.h5")
    assert code == 2
    assert "[/red] [bold]a.h5" in err


def test_a_notice_is_said_once(capsys):
    """Conformations of one file would each repeat what is odd about it."""
    with console.warnings_said():
        for text in ("one", "other", "one"):
            warnings.warn(text, stacklevel=1)
    said = capsys.readouterr().err
    assert (said.count("warning: one"), said.count("warning: other")) == (1, 1)


def test_nothing_that_is_there_is_replaced_unasked(made, run):
    out, _ = made
    before = out.read_bytes()
    for arguments in (
        ("make", "--pdb", "x", "--n", "5", "--out", out),
        ("convert", out, out),
        ("inspect", out, "--html", out),
        ("rescue", out, "--out", out),
    ):
        code, _, err = run(*arguments)
        assert code == 2, arguments
        assert "is there already" in err or "is what is read" in err
    assert out.read_bytes() == before


def test_the_distance_follows_the_particle_where_nobody_states_it(run, tmp_path):
    """Atoms 600 Å apart: too wide for 128 × 128 pixels of the default 200 mm away."""
    wide = tmp_path / "wide.pdb"
    atom = "HETATM{:5d}  C   LIG A   1    {:8.3f}   0.000   0.000  1.00 20.00           C\n"
    wide.write_text("".join(atom.format(n, 60.0 * n) for n in range(11)) + "END\n")
    beam = tmp_path / "beam.toml"
    beam.write_text("[detector]\ns_max_per_angstrom = 0.02\n")
    out, make = tmp_path / "a.h5", ("make", "--pdb", wide, "--n", 3, "--config", beam)
    code, _, said = run(*make, "--out", out)
    assert code == 0
    assert "detector at 350 mm" in said
    assert "undersampled" not in said
    with h5py.File(out) as file:
        assert file["detector/position"][:, 2].min() == 350.0
    code, _, said = run(*make, "--instrument", "xrai2025", "--out", tmp_path / "b.h5")
    assert code == 0
    assert "detector at 200 mm" in said
    assert "undersampled" in said


def test_processes_of_a_job_make_their_shards(
    run, config_file, small_particle, monkeypatch, tmp_path
):
    make = ("make", "--pdb", small_particle, "--config", config_file)
    run(*make, "--out", tmp_path / "whole.h5")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        assert run(*make, "--out", tmp_path / "parts.h5")[0] == 0
    with (
        PatternReader(tmp_path / "whole.h5") as whole,
        PatternReader(tmp_path / "parts.h5") as parts,
    ):
        assert [file.name for file in parts.files] == [
            "parts.shard-1-of-2.h5",
            "parts.shard-2-of-2.h5",
        ]
        assert (parts.images(0, 5) == whole.images(0, 5)).all()
