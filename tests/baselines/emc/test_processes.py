"""EMC over several processes: the same result, the same state everywhere, one set of files."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.emc import EmcConfig, Level, reconstruct
from baselines.emc.stream import split
from xraisim.core import config as toml
from xraisim.core.processes import Processes
from xraisim.files.volumes import read_volume
from xraisim.instrument.background import Background
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector
from xraisim.simulation import make
from xraisim.simulation.config import SimulationConfig

PATTERNS = 150
CONFIG = EmcConfig(
    levels=(
        Level(reach=2.0, rotations=100, iterations=2),
        Level(reach=2.5, rotations=200, iterations=2, search="local"),
    ),
    restarts=2,
    junk=1,
    halves=True,
)
MODULE = "from baselines.cli import main; main()"


@pytest.fixture(scope="module")
def patterns(tmp_path_factory):
    """A file of patterns of a random cloud of atoms on a background."""
    path = tmp_path_factory.mktemp("patterns") / "patterns.h5"
    structure = path.parent / "cloud.pdb"
    lines = [
        f"ATOM  {i:5d}  C   GLY A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           C\n"
        for i, (x, y, z) in enumerate(
            np.random.default_rng(3).normal(size=(40, 3)) * (14, 11, 8), 1
        )
    ]
    structure.write_text("".join(lines) + "END\n")
    config = SimulationConfig(
        structure=str(structure),
        patterns=PATTERNS,
        background=Background(photons_per_pixel=0.1),
        beam=Beam(photons_per_pulse=4e17),
        detector=Detector(
            rows=25, columns=25, pixel_size_mm=3.0, distance_mm=200, s_min_per_angstrom=0.004
        ),
    )
    make.simulate(config, path)
    return path


def test_two_processes_end_as_one_does(patterns, tmp_path, torchrun):
    """Background, a class of junk, half-sets and local search: all that is exchanged."""
    worker = Path(__file__).with_name("reconstruct_in_processes.py")
    settings = tmp_path / "emc.toml"
    settings.write_text(toml.dumps(CONFIG))
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    for count, directory in ((1, one), (2, two)):
        done = torchrun(count, worker, patterns, settings, directory)
        assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (two / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5, 6]
    alone, leader, other = (torch.load(p) for p in (one / "0.pt", two / "0.pt", two / "1.pt"))
    for name, expected in alone.items():
        assert torch.equal(leader[name], other[name]), name
        if expected.is_floating_point():
            # Measured as 2e-4 at most, as for blocks of another size.
            close = {"rtol": 1e-3, "atol": 1e-3 * float(expected.abs().max())}
            torch.testing.assert_close(leader[name], expected, **close)
    assert (alone["hypotheses"] == leader["hypotheses"]).double().mean() > 0.95


@pytest.mark.long
def test_three_processes_resume_what_one_began(patterns, tmp_path, torchrun):
    """The command itself, whose checkpoint does not depend on the number of processes."""
    expected = reconstruct(patterns, tmp_path / "whole", CONFIG)
    left = [3]

    def interrupt(units=1, remark=""):
        left[0] -= units
        if left[0] <= 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(patterns, tmp_path / "run", CONFIG, progress=interrupt)
    config = ("--config", tmp_path / "run" / "config.toml", "--resume", "--json")
    done = torchrun(3, "-c", MODULE, "emc", patterns, "--out", tmp_path / "run", *config)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]  # printed once
    assert (figures["iterations"], figures["processes"]) == (expected.figures["iterations"], 3)
    whole, made = (read_volume(tmp_path / run / "intensity.h5").values for run in ("whole", "run"))
    torch.testing.assert_close(made, whole, rtol=1e-3, atol=1e-3 * float(whole.max()))
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        p.name for p in (tmp_path / "whole").iterdir()
    }


@pytest.mark.long
def test_an_error_ends_all_processes(patterns, tmp_path, torchrun):
    wrong = dataclasses.replace(CONFIG, d_min_angstrom=300.0)
    (tmp_path / "emc.toml").write_text(toml.dumps(wrong))
    command = ("emc", patterns, "--out", tmp_path / "run", "--config", tmp_path / "emc.toml")
    done = torchrun(2, "-c", MODULE, *command)
    assert done.returncode != 0
    assert "usable pixels" in done.stderr


@pytest.mark.parametrize(("chosen", "most"), [(1000, 1024), (1000, 100), (7, 1), (2, 1024), (1, 5)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_process_has_an_equal_share(chosen, most, count):
    mask = torch.zeros(chosen + 10, dtype=torch.bool)
    mask[:chosen] = True
    shares = [split(mask, most, Processes(rank=rank, count=count)) for rank in range(count)]
    dealt = [torch.cat([torch.empty(0, dtype=torch.int64), *share]) for share in shares]
    assert torch.equal(torch.cat(dealt).sort().values, mask.nonzero()[:, 0])
    assert all(len(block) <= most for share in shares for block in share)
    sizes = [len(numbers) for numbers in dealt]
    assert max(sizes) <= chosen / count + len(shares[0])  # each block is rounded up


def test_blocks_without_patterns_are_nobodys():
    """Chosen patterns that lie in every other block must not all go to one process."""
    mask = torch.zeros(800, dtype=torch.bool)
    mask[(torch.arange(800) // 100) % 2 == 1] = True
    shares = [split(mask, 100, Processes(rank=rank, count=2)) for rank in range(2)]
    assert [sum(map(len, share)) for share in shares] == [200, 200]
    assert split(torch.zeros(9, dtype=torch.bool), 4, Processes(rank=1, count=2)) == []
