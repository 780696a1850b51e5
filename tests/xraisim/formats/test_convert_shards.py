"""Conversion by several processes: each makes its shard, and together they are the whole."""

import json

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from xraisim.commands.convert import convert_command
from xraisim.core.errors import ConfigError, FormatError
from xraisim.files.atomic import partial_path
from xraisim.files.patterns import PatternReader
from xraisim.files.shards import Shard

from .conftest import PATTERNS, frames_in

app = typer.Typer()
app.command()(convert_command)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def stack(frames, tmp_path):
    """The frames in another format, and what else a conversion has to be told."""
    np.save(tmp_path / "stack.npy", frames.reshape(-1, 6, 8))
    settings = tmp_path / "settings.toml"
    settings.write_text(
        "particle_diameter_angstrom = 80.0\n[beam]\nphoton_energy_ev = 3000.0\n"
        "[detector]\npixel_size_mm = 9.0\ndistance_mm = 120.0\nrows = 6\ncolumns = 8\n"
    )
    return tmp_path / "stack.npy", "--config", settings


@pytest.fixture
def in_process(monkeypatch):
    """Run the command as process ``rank`` of two, with the variables of torchrun."""

    def one(rank: int, *arguments: object):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", str(rank))
        done = run(*arguments)
        monkeypatch.delenv("WORLD_SIZE")
        monkeypatch.delenv("RANK")
        return done

    return one


def test_two_processes_make_what_one_makes(stack, in_process, tmp_path):
    source, *flags = stack
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    assert run(source, whole, *flags).exit_code == 0
    counts = []
    for rank in (0, 1):
        done = in_process(rank, source, parts, *flags, "--json")
        assert done.exit_code == 0, done.output
        counts.append(json.loads(done.stdout)["patterns"])
    assert counts == [PATTERNS // 2, PATTERNS - PATTERNS // 2]
    assert (frames_in(parts) == frames_in(whole)).all()
    with PatternReader(whole) as one, PatternReader(parts) as two:
        assert len(two.files) == 2
        assert one.info["provenance"]["config"] == two.info["provenance"]["config"]
        assert two.info["provenance"]["shard"] == "1/2"


def test_shards_become_files_of_another_format(patterns, frames, stack, in_process, tmp_path):
    """What is read may have shards itself; other formats have none, so the files are numbered."""
    source, *flags = stack
    for rank in (0, 1):
        in_process(rank, source, tmp_path / "parts.h5", *flags)
    assert run(tmp_path / "parts.h5", tmp_path / "one.emc").exit_code == 0
    assert (frames_in(tmp_path / "one.emc") == frames_in(tmp_path / "parts.h5")).all()
    for rank in (0, 1):
        done = in_process(rank, tmp_path / "parts.h5", tmp_path / "two.emc")
        assert done.exit_code == 0, done.output
    itself = in_process(0, tmp_path / "parts.h5", tmp_path / "parts.h5", "--to", "h5", "--force")
    assert "source and target are the same file" in str(itself.exception)
    names = [Shard(k, 2).path(tmp_path / "two.emc") for k in (1, 2)]
    assert (np.concatenate([*map(frames_in, names)]) == frames_in(tmp_path / "one.emc")).all()
    with pytest.raises(FormatError, match=r"emc are read one by one, as two.shard-1-of-2.emc"):
        frames_in(tmp_path / "two.emc")


def test_what_a_dead_process_left_is_made_again_and_nothing_else(stack, in_process, tmp_path):
    source, *flags = stack
    parts = tmp_path / "parts.h5"
    first, second = (Shard(k, 2).path(parts) for k in (1, 2))
    in_process(0, source, parts, *flags)
    # What a killed process leaves: a file that was not renamed.
    partial_path(second).write_bytes(first.read_bytes()[:4000])
    with pytest.raises(FormatError, match="shard 2 of 2 missing"):
        PatternReader(parts)
    before = first.stat().st_mtime_ns
    for rank in (0, 1):
        done = in_process(rank, source, parts, *flags, "--resume", "--json")
        assert done.exit_code == 0, done.output
    assert first.stat().st_mtime_ns == before
    assert frames_in(parts).shape[0] == PATTERNS
    assert not partial_path(second).exists()
    made, kept = (
        json.loads(in_process(1, source, parts, *flags, *more, "--json").stdout)
        for more in (["--force"], ["--resume"])
    )
    assert kept["photons"] == made["photons"]
    assert kept["masked_photons"] is None
    np.save(source, np.ones((PATTERNS, 6, 8), np.int32))
    other = in_process(0, source, parts, *flags, "--resume")
    assert isinstance(other.exception, ConfigError)
    assert "other source_sha256" in str(other.exception)


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("there.h5", (), "would be read in place of its shards"),
        ("detector.dat", (), "a detector has no shards"),
        ("out.h5", ("--shard", "3/2"), "shard 3/2 does not exist"),
    ],
)
def test_what_cannot_be_shared_is_refused(patterns, in_process, tmp_path, name, more, said):
    h5py.File(tmp_path / "there.h5", "w").close()
    done = in_process(0, patterns, tmp_path / name, *more)
    assert isinstance(done.exception, ConfigError | FormatError)
    assert said in str(done.exception)
