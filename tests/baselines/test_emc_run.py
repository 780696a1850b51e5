"""EMC from pattern file to run directory, on a cloud of forty atoms."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
import torch

from baselines import cli
from baselines.emc import EmcConfig, Level, reconstruct
from baselines.emc.iterate import Estimate, iterate
from baselines.emc.stage import make_stage
from xraisim.core import config as toml
from xraisim.core import rotations, so3
from xraisim.core.align import align_intensity
from xraisim.core.errors import ConfigError, FormatError, SamplingError, UserError
from xraisim.core.fourier import coordinates
from xraisim.core.fsc import intensity_correlation, shell_s
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.truth import read_truth, truth_path
from xraisim.files.volumes import read_volume
from xraisim.instrument.background import Background
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector
from xraisim.sample.structure import read_atoms
from xraisim.scattering.structure_factor import structure_factor_grid
from xraisim.simulation import make
from xraisim.simulation.config import SimulationConfig

PATTERNS = 600
LEVELS = (
    Level(speckles=2.5, rotations=400, iterations=10, beta=0.1, growth=1.3),
    Level(speckles=3.5, rotations=1500, iterations=4, beta=0.5, growth=1.3),
)
CONFIG = EmcConfig(levels=LEVELS, restarts=2, block_patterns=256)
BRIEF = EmcConfig(
    levels=(
        Level(speckles=2.0, rotations=100, iterations=3, patterns=200, beta=0.2),
        Level(speckles=2.5, rotations=200, iterations=3, beta=0.5),
    ),
    restarts=2,
)


def _simulate(path, background=0.0):
    rng = np.random.default_rng(3)
    structure = path.parent / "cloud.pdb"
    lines = [
        f"ATOM  {i:5d}  C   GLY A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           C\n"
        for i, (x, y, z) in enumerate(rng.normal(size=(40, 3)) * (14, 11, 8), 1)
    ]
    structure.write_text("".join(lines) + "END\n")
    config = SimulationConfig(
        structure=str(structure),
        patterns=PATTERNS,
        seed=3,
        background=Background(photons_per_pixel=background),
        beam=Beam(photons_per_pulse=4e17),
        detector=Detector(
            rows=25, columns=25, pixel_size_mm=3.0, distance_mm=200, s_min_per_angstrom=0.004
        ),
    )
    make.simulate(config, path)
    return structure


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A pattern file and its structure."""
    path = tmp_path_factory.mktemp("emc") / "patterns.h5"
    return path, _simulate(path)


@pytest.fixture(scope="module")
def finished(case, tmp_path_factory):
    """A whole run."""
    directory = tmp_path_factory.mktemp("run")
    return directory, reconstruct(case[0], directory, CONFIG)


def _correlation(intensity, structure, s_max):
    """Correlation with the truth per shell, radial means removed, after alignment."""
    atoms = read_atoms(structure)
    F = structure_factor_grid(atoms, intensity.grid, intensity.spacing, 4600.0)
    truth = torch.from_numpy(np.abs(F) ** 2).float()
    reference = Volume(values=truth, spacing=intensity.spacing, kind="intensity")
    found = align_intensity(intensity, reference, (0.008, s_max - 2 * intensity.spacing))
    atoms = dataclasses.replace(
        atoms, positions=atoms.positions @ rotations.to_matrix(found.quaternion.double()).numpy()
    )
    F = structure_factor_grid(atoms, intensity.grid, intensity.spacing, 4600.0)
    turned = torch.from_numpy(np.abs(F) ** 2).float()
    return intensity_correlation(intensity.values, turned), turned, found


def test_a_random_start_converges_to_the_truth(case, finished):
    directory, summary = finished
    intensity = read_volume(directory / "intensity.h5")
    curve, truth, found = _correlation(intensity, case[1], 1 / summary.d_min_angstrom)
    s = shell_s(intensity.grid, intensity.spacing)
    known = (s > 0.008) & (s < 0.9 / summary.d_min_angstrom)
    assert curve[known].mean() > 0.85
    near = coordinates(intensity.grid, intensity.spacing).norm(dim=-1)
    near = (near > 0.008) & (near < 0.8 / summary.d_min_angstrom)
    scale = float(intensity.values[near].sum() / truth[near].sum())
    # electrons², at mean fluence 1; over eight seeds it was measured as 1.06 ± 0.02
    assert scale == pytest.approx(1.06, abs=0.06)
    with h5py.File(directory / "poses.h5") as file:
        poses = torch.from_numpy(file["orientations"][()])
        fluence = file["fluence"][()]
    known_truth = read_truth(truth_path(case[0]))
    error = rotations.angle_between(
        found.to_reference_frame(poses), torch.from_numpy(known_truth.orientations)
    )
    error = torch.minimum(
        error,
        rotations.angle_between(
            found.to_reference_frame(so3.in_plane_mate(poses)),
            torch.from_numpy(known_truth.orientations),
        ),
    )
    assert torch.rad2deg(error).median() < 20  # the grid is 21° wide
    assert np.corrcoef(fluence, known_truth.fluence)[0, 1] > 0.9


def test_the_run_directory_is_complete(finished):
    directory, summary = finished
    assert {p.name for p in directory.iterdir()} == {
        "config.toml", "metrics.jsonl", "intensity.h5", "intensity.mrc", "poses.h5", "summary.json",
    }  # fmt: skip
    assert toml.load(EmcConfig, directory / "config.toml") == CONFIG
    entries = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [e["iteration"] for e in entries] == list(range(1, summary.iterations + 1))
    assert json.loads((directory / "summary.json").read_text())["patterns"] == PATTERNS
    assert len(summary.starts) == CONFIG.restarts
    with h5py.File(directory / "poses.h5") as file:
        assert all(len(file[n]) == PATTERNS for n in ("likelihood", "occupancy", "fluence"))
        assert file["fluence"][()].mean() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("stop", [1, 5, 8])
def test_resuming_gives_the_same_as_not_stopping(case, tmp_path, stop):
    """Stopped within the first start, within the second, and at the second level."""
    left = [stop]

    def interrupt(units=1, remark=""):
        left[0] -= units
        if left[0] <= 0:
            raise KeyboardInterrupt

    expected = reconstruct(case[0], tmp_path / "whole", BRIEF)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(case[0], tmp_path / "run", BRIEF, progress=interrupt)
    summary = reconstruct(case[0], tmp_path / "run", BRIEF, resume=True)
    assert (summary.iterations, len(summary.starts)) == (expected.iterations, 2)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(1, len(lines) + 1))
    whole = read_volume(tmp_path / "whole" / "intensity.h5").values
    torch.testing.assert_close(
        read_volume(tmp_path / "run" / "intensity.h5").values,
        whole,
        rtol=1e-3,
        atol=1e-3 * float(whole.max()),
    )
    with pytest.raises(FormatError, match="nothing to resume"):
        reconstruct(case[0], tmp_path / "run", BRIEF, resume=True)


def test_resuming_another_run_is_refused(case, tmp_path):
    def interrupt(units=1, remark=""):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(case[0], tmp_path, BRIEF, progress=interrupt)
    with pytest.raises(UserError, match="other patterns or settings"):
        reconstruct(case[0], tmp_path, dataclasses.replace(BRIEF, seed=5), resume=True)


def _one_iteration(reader, config):
    stage = make_stage(reader, config, 1, torch.device("cpu"))
    grid, spacing = stage.grid
    draw = torch.Generator().manual_seed(0)
    values = 1e4 * torch.rand(grid, grid, grid, generator=draw)
    volume = Volume(values=values + values.flip(0, 1, 2), spacing=spacing, kind="intensity")
    now = Estimate(volume=volume, fluence=stage.fluence(), covered=len(stage.pixels) // 2)
    return iterate(now, stage.blocks, stage.pixels, stage.matrices, stage.grid, 0.01, config)


@pytest.mark.parametrize("cache_gib", [0.0, 1.0])
def test_the_size_of_blocks_does_not_matter(case, cache_gib):
    with PatternReader(case[0]) as reader:
        whole, poses = _one_iteration(reader, CONFIG)
        small = dataclasses.replace(CONFIG, block_patterns=37, cache_gib=cache_gib)
        parts, poses_of_parts = _one_iteration(reader, small)
    close = {"rtol": 1e-4, "atol": 1e-4 * float(whole.volume.values.max())}
    torch.testing.assert_close(parts.volume.values, whole.volume.values, **close)
    torch.testing.assert_close(parts.fluence, whole.fluence, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(poses.evidence, poses_of_parts.evidence, rtol=1e-5, atol=1e-2)


def test_known_background_is_taken_out(tmp_path):
    """The same particle under a background a few times its mean signal at the edge."""
    path = tmp_path / "patterns.h5"
    structure = _simulate(path, background=0.2)
    single = dataclasses.replace(CONFIG, restarts=1)
    summary = reconstruct(path, tmp_path / "run", single)
    intensity = read_volume(tmp_path / "run" / "intensity.h5")
    curve, truth, _ = _correlation(intensity, structure, 1 / summary.d_min_angstrom)
    s = shell_s(intensity.grid, intensity.spacing)
    assert curve[(s > 0.008) & (s < 0.9 / summary.d_min_angstrom)].mean() > 0.8
    radius = coordinates(intensity.grid, intensity.spacing).norm(dim=-1)
    rim = (radius > 0.7 / summary.d_min_angstrom) & (radius < 0.95 / summary.d_min_angstrom)
    assert float(intensity.values[rim].mean() / truth[rim].mean()) == pytest.approx(1, abs=0.15)


def test_impossible_settings_are_refused(case, tmp_path):
    with pytest.raises(ConfigError, match="last level"):
        EmcConfig(levels=(Level(speckles=3, rotations=10, iterations=1, patterns=5),))
    with pytest.raises(ConfigError, match="never fall"):
        EmcConfig(levels=LEVELS[::-1])
    with pytest.raises(ConfigError, match="beta"):
        Level(speckles=3, rotations=10, iterations=1, beta=0.0)
    with pytest.raises(SamplingError, match="usable pixels"):
        reconstruct(case[0], tmp_path, dataclasses.replace(CONFIG, d_min_angstrom=300.0))


@pytest.fixture
def invoke(monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["xrai-baseline", "emc", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, capfd.readouterr()

    return run


def test_bad_input_ends_in_one_line_and_code_2(case, tmp_path, invoke):
    unknown = tmp_path / "unknown.toml"
    unknown.write_text("restart = 3")
    text = tmp_path / "patterns.txt"
    text.write_text("no patterns")
    out = ("--out", tmp_path / "run")
    wrong = {
        (tmp_path / "absent.h5", *out): "no such pattern file",
        (text, *out): "not a readable HDF5 file",
        (case[0], *out, "--config", unknown): "did you mean restarts",
        (case[0], *out, "--restarts", 0): "at least 1",
        (case[0], *out, "--device", "abacus"): "no compute device",
        (case[0], *out, "--resume"): "nothing to resume",
    }
    for arguments, expected in wrong.items():
        code, said = invoke(*arguments)
        assert code == 2
        assert expected in said.err
        assert "Traceback" not in said.err
    assert not (tmp_path / "run" / "intensity.h5").exists()


def test_the_command_prints_its_summary(case, tmp_path, invoke):
    small = tmp_path / "small.toml"
    small.write_text("[[levels]]\nspeckles = 2.5\nrotations = 50\niterations = 2\n")
    code, said = invoke(
        case[0], "--out", tmp_path / "run", "--config", small, "--seed", 3, "--json"
    )
    assert code == 0
    assert json.loads(said.out)["patterns"] == PATTERNS
    assert toml.load(EmcConfig, tmp_path / "run" / "config.toml").seed == 3
