"""EMC from pattern file to run directory, on a cloud of forty atoms."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
import torch

from baselines import cli
from baselines.emc import EmcConfig, Level, reconstruct
from xraisim.core import config as toml
from xraisim.core import rotations, so3
from xraisim.core.align import align_intensity
from xraisim.core.errors import FormatError, SamplingError, UserError
from xraisim.core.fourier import coordinates, radius
from xraisim.core.fsc import intensity_correlation
from xraisim.core.radial import shell_s
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.poses import read_poses
from xraisim.files.shards import Shard
from xraisim.files.truth import read_truth, truth_path
from xraisim.files.volumes import read_exposure, read_volume
from xraisim.instrument.background import Background
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector
from xraisim.sample.structure import read_atoms
from xraisim.scattering.structure_factor import structure_factor_grid
from xraisim.simulation import make
from xraisim.simulation.config import SimulationConfig

PATTERNS = 600
LEVELS = (
    Level(reach=2.5, rotations=400, iterations=10, information=(0.36, 0.9), ramp=8),
    Level(reach=3.5, rotations=1500, iterations=4, information=(0.85, 0.95), ramp=3),
)
CONFIG = EmcConfig(levels=LEVELS, restarts=2, block_patterns=256)
BRIEF = EmcConfig(
    levels=(
        Level(reach=2.0, rotations=100, iterations=3, patterns=200),
        Level(reach=2.5, rotations=200, iterations=2),
        Level(reach=2.5, rotations=400, iterations=2, search="local"),
    ),
    restarts=2,
)


def _simulate(path, background=0.0, seed=7, shards=1):
    rng = np.random.default_rng(seed)
    structure = path.parent / "cloud.pdb"
    lines = [
        f"ATOM  {i:5d}  C   GLY A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           C\n"
        for i, (x, y, z) in enumerate(rng.normal(size=(40, 3)) * (14, 11, 8), 1)
    ]
    structure.write_text("".join(lines) + "END\n")
    config = SimulationConfig(
        structure=str(structure),
        patterns=PATTERNS,
        seed=seed,
        background=Background(photons_per_pixel=background),
        beam=Beam(photons_per_pulse=4e17),
        detector=Detector(
            rows=25, columns=25, pixel_size_mm=3.0, distance_mm=200, s_min_per_angstrom=0.004
        ),
    )
    for index in range(1, shards + 1):
        make.simulate(config, path, shard=Shard(index=index, total=shards))
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


def _errors(poses, truth):
    """Angles to the true orientations or to their near-symmetric mates, whichever is less."""
    exact = torch.from_numpy(truth.orientations)
    both = [rotations.angle_between(q, exact) for q in (poses, so3.in_plane_mate(poses))]
    return torch.rad2deg(torch.minimum(*both))


def test_a_random_start_converges_to_the_truth(case, finished):
    directory, result = finished
    intensity = read_volume(directory / "intensity.h5")
    curve, truth, found = _correlation(intensity, case[1], 1 / result.d_min_angstrom)
    s = shell_s(intensity.grid, intensity.spacing)
    known = (s > 0.008) & (s < 0.9 / result.d_min_angstrom)
    assert curve[known].mean() > 0.9
    near = coordinates(intensity.grid, intensity.spacing).norm(dim=-1)
    near = (near > 0.008) & (near < 0.8 / result.d_min_angstrom)
    scale = float(intensity.values[near].sum() / truth[near].sum())
    # electrons², at mean fluence 1; over five seeds it was measured as 1.047 ± 0.026
    assert scale == pytest.approx(1.045, abs=0.055)
    with h5py.File(directory / "poses.h5") as file:
        poses = torch.from_numpy(file["orientations"][()])
        fluence = file["fluence"][()]
    known_truth = read_truth(truth_path(case[0]))
    error = _errors(found.to_reference_frame(poses), known_truth)
    assert error.median() < 20  # the grid is 21° wide
    assert np.corrcoef(fluence, known_truth.fluence)[0, 1] > 0.9


def test_the_run_directory_is_complete(finished):
    directory, result = finished
    assert {p.name for p in directory.iterdir()} == {
        "config.toml", "metrics.jsonl", "intensity.h5", "intensity.mrc", "poses.h5", "result.json",
    }  # fmt: skip
    assert toml.load(EmcConfig, directory / "config.toml") == CONFIG
    entries = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [e["iteration"] for e in entries] == list(range(1, result.figures["iterations"] + 1))
    assert json.loads((directory / "result.json").read_text())["patterns"] == PATTERNS
    assert len(result.figures["starts"]) == CONFIG.restarts
    assert result.resolution is None
    assert b"GCOL" not in (directory / "poses.h5").read_bytes()  # no text of variable length
    with h5py.File(directory / "poses.h5") as file:
        assert all(len(file[n]) == PATTERNS for n in ("loglik", "occupancy", "fluence"))
        assert file["fluence"][()].mean() == pytest.approx(1, abs=1e-3)
        assert (file["class_id"][()] == 1).all()


def test_the_exposure_says_where_photons_were_measured(case, finished):
    directory, result = finished
    exposure, volume = (read(directory / "intensity.h5") for read in (read_exposure, read_volume))
    r = radius(volume.grid, volume.spacing)
    assert (exposure >= 0).all()
    assert not exposure[r > 1 / result.d_min_angstrom + 2 * volume.spacing].any()
    with PatternReader(case[0]) as reader:
        inside = reader.pixels.count_below((1 + 1e-6) / result.d_min_angstrom)
        photons = reader.read(0, PATTERNS).totals(inside).sum()
    assert float(exposure.sum()) == pytest.approx(photons, rel=0.02)


def test_shards_are_reconstructed_as_one_file(case, tmp_path):
    _simulate(tmp_path / "patterns.h5", shards=2)
    level = Level(reach=2.0, rotations=100, iterations=2)
    config = EmcConfig(levels=(level,), restarts=1)
    found = [
        reconstruct(path, tmp_path / name, config)
        for name, path in (("one", case[0]), ("two", tmp_path / "patterns.h5"))
    ]
    assert found[0].patterns == found[1].patterns == PATTERNS
    one, two = (read_volume(tmp_path / name / "intensity.h5").values for name in ("one", "two"))
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3 * float(one.max()))


def test_classes_and_halves_are_written_by_name(case, tmp_path):
    level = Level(reach=2.0, rotations=100, iterations=2)
    config = EmcConfig(levels=(level, level), restarts=1, classes=2, junk=1, halves=True)
    result = reconstruct(case[0], tmp_path, config)
    volumes = {p.stem for p in tmp_path.glob("*.h5")} - {"poses"}
    numbered = {f"intensity_{number}" for number in (1, 2, 3)}
    assert volumes == {"intensity", "half_1", "half_2"} | numbered
    assert sum(result.figures["shares"]) == pytest.approx(1, abs=1e-4)
    best = read_volume(
        tmp_path / f"intensity_{1 + int(np.argmax(result.figures['shares'][:2]))}.h5"
    )
    assert read_volume(tmp_path / "intensity.h5").values.equal(best.values)
    assert read_poses(tmp_path / "poses.h5")["half"][:4].tolist() == [1, 2, 1, 2]
    with h5py.File(tmp_path / "poses.h5") as file:
        assert set(file["class_id"][()].tolist()) <= {1, 2, 3}
        assert (file["fluence"][()] > 0).all()


def _interrupted(case, directory, config, stop):
    """Begin a run and end it after ``stop`` iterations."""
    left = [stop]

    def interrupt(units=1, remark=""):
        left[0] -= units
        if left[0] <= 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(case[0], directory, config, progress=interrupt)


@pytest.fixture(scope="module")
def whole(case, tmp_path_factory):
    """A brief run that nobody stopped; with a tolerance, so that levels end early."""
    directory = tmp_path_factory.mktemp("whole")
    return directory, reconstruct(case[0], directory, BRIEF)


@pytest.mark.parametrize("stop", [1, 5, 7, 9])
def test_resuming_gives_the_same_as_not_stopping(case, whole, tmp_path, stop):
    """Stopped within the first start, within the second, and at the later levels."""
    _interrupted(case, tmp_path, BRIEF, stop)
    result = reconstruct(case[0], tmp_path, BRIEF, resume=True)
    assert result.figures["iterations"] == whole[1].figures["iterations"]
    assert len(result.figures["starts"]) == 2
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(1, len(lines) + 1))
    expected = read_volume(whole[0] / "intensity.h5").values
    assert read_volume(tmp_path / "intensity.h5").values.equal(expected)
    with h5py.File(tmp_path / "poses.h5") as found, h5py.File(whole[0] / "poses.h5") as exact:
        for name in exact:
            np.testing.assert_array_equal(found[name][()], exact[name][()])
    with pytest.raises(FormatError, match="nothing to resume"):
        reconstruct(case[0], tmp_path, BRIEF, resume=True)


def test_a_level_that_had_converged_is_not_begun_again(case, tmp_path):
    level = Level(reach=2.0, rotations=100, iterations=9)
    config = EmcConfig(levels=(level, level), restarts=1, tolerance=1e9)
    _interrupted(case, tmp_path, config, 3)
    result = reconstruct(case[0], tmp_path, config, resume=True)
    assert result.figures["iterations"] == 2 * 3


def test_resuming_another_run_is_refused(case, tmp_path):
    _interrupted(case, tmp_path, BRIEF, 1)
    with pytest.raises(UserError, match="other patterns or settings"):
        reconstruct(case[0], tmp_path, dataclasses.replace(BRIEF, seed=5), resume=True)


def test_known_background_is_taken_out(tmp_path):
    """The same particle under a background a few times its mean signal at the edge."""
    path = tmp_path / "patterns.h5"
    structure = _simulate(path, background=0.2)
    single = dataclasses.replace(CONFIG, restarts=1, engine="harmonic")
    result = reconstruct(path, tmp_path / "run", single)
    intensity = read_volume(tmp_path / "run" / "intensity.h5")
    curve, truth, _ = _correlation(intensity, structure, 1 / result.d_min_angstrom)
    s = shell_s(intensity.grid, intensity.spacing)
    radius = coordinates(intensity.grid, intensity.spacing).norm(dim=-1)
    rim = (radius > 0.7 / result.d_min_angstrom) & (radius < 0.95 / result.d_min_angstrom)
    assert curve[(s > 0.008) & (s < 0.9 / result.d_min_angstrom)].mean() > 0.8
    assert float(intensity.values[rim].mean() / truth[rim].mean()) == pytest.approx(1, abs=0.15)


def test_levels_without_pixels_are_refused(case, tmp_path):
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
        (case[0], *out, "--restarts", 0): "expected 1 to",
        (case[0], *out, "--device", "abacus"): "no compute device",
        (case[0], *out, "--resume"): "nothing to resume",
    }
    for arguments, expected in wrong.items():
        code, said = invoke(*arguments)
        assert code == 2
        assert expected in said.err
        assert "Traceback" not in said.err
    assert not (tmp_path / "run" / "intensity.h5").exists()


def test_the_command_prints_its_result(case, tmp_path, invoke):
    small = tmp_path / "small.toml"
    small.write_text("[[levels]]\nreach = 2.5\nrotations = 50\niterations = 2\n")
    code, said = invoke(
        case[0], "--out", tmp_path / "run", "--config", small, "--seed", 3, "--json"
    )
    assert code == 0
    assert json.loads(said.out)["patterns"] == PATTERNS
    assert toml.load(EmcConfig, tmp_path / "run" / "config.toml").seed == 3
