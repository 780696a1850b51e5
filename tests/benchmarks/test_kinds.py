"""Every kind of sample is scored: the oracle comes near 1, and only single hits of one count."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from benchmarks import comparison, worker
from benchmarks.comparison import Comparison, Reconstruction, told_poses
from benchmarks.methods import METHODS
from benchmarks.metrics.icc_truth import shells
from benchmarks.metrics.pose_error import of_method
from benchmarks.record import Curve
from benchmarks.task import Task, from_mapping
from benchmarks.truth import check_sample, true_particle
from xraisim.core.align import Alignment
from xraisim.core.errors import ConfigError, FormatError
from xraisim.files.poses import read_poses
from xraisim.files.truth import Truth, read_truth, truth_path
from xraisim.files.volumes import read_volume
from xraisim.sample.structure import Atoms

PATTERNS = 240
GOLD = {"name": "gold", "shape": "cube", "size_nm": 3.0, "material": "gold"}
BOX = {"name": "box", "shape": "cube", "size_nm": 4.0, "material": "protein", "weight": 1.5}
HERE = Alignment(quaternion=torch.tensor([1.0, 0.0, 0.0, 0.0]), score=1.0)

Made = Callable[..., Task]


@pytest.fixture(scope="module")
def structures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two clouds of 60 carbons, about 70 Å across, and a file with both as models."""
    directory, atoms = tmp_path_factory.mktemp("structures"), {}
    for name, seed in (("one", 3), ("other", 8)):
        places = np.random.default_rng(seed).normal(size=(60, 3)) * [14, 9, 6]
        atoms[name] = "".join(
            f"ATOM  {i:5d}  C   GLY A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           C\n"
            for i, (x, y, z) in enumerate(places, 1)
        )
    models = (f"MODEL {k}\n{atoms[name]}ENDMDL\n" for k, name in enumerate(atoms, 1))
    texts = atoms | {"both": "".join(models)}
    for name, text in texts.items():
        (directory / f"{name}.pdb").write_text(f"{text}END\n")
    return {name: str(directory / f"{name}.pdb") for name in texts}


@pytest.fixture(scope="module")
def samples(structures: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Settings of a simulation, by what is special about the sample."""
    one, other = structures["one"], structures["other"]
    two = [{"structure": one, "name": "one"}, {"structure": other, "name": "other", "weight": 2.0}]
    hits = {"blank_fraction": 0.2, "multiple_fraction": 0.2, "contaminant_fraction": 0.2}
    background = {"photons_per_pixel": 0.2, "strength": {"distribution": "gamma"}}
    return {
        "water": {"structure": one, "solvent": {"enabled": True}},
        "two": {"species": two},
        "models": {"species": [{"structure": structures["both"], "all_models": True}]},
        "everything": {
            "species": [*two, BOX],
            "hits": hits | {"contaminant_radius_angstrom": 15.0},
            "background": background,
        },
    }


def made(simulate: dict[str, Any], **tables: Any) -> Task:
    detector = {"rows": 24, "columns": 24, "pixel_size_mm": 2.5, "s_max_per_angstrom": 0.05}
    common = {"patterns": PATTERNS, "beam": {"photons_per_pulse": 2e17}, "detector": detector}
    score = {"align_coarse_angstrom": 90.0, "align_fine_angstrom": 22.0} | tables.pop("score", {})
    mapping = {"name": "t", "summary": "", "simulate": common | simulate, "score": score}
    return from_mapping(mapping | tables)


def reconstructed(task: Task, directory: Path, method: str = "oracle") -> Comparison:
    """Return what a method made of the data of a task, beside the truth."""
    patterns = worker.simulate(task, directory).patterns
    METHODS[method].reconstruct(task, patterns, directory, 0)
    return compared(task, directory)


def compared(task: Task, directory: Path) -> Comparison:
    patterns, volume = directory / "patterns.h5", read_volume(directory / "intensity.h5")
    found = Reconstruction(
        intensity=volume,
        density=volume,
        prtf=Curve(name="prtf", s_per_angstrom=(), value=()),
        **told_poses(directory / "poses.h5", PATTERNS),
    )
    measured = worker._measured(patterns)
    s_range = measured["s_min_per_angstrom"], measured["s_max_per_angstrom"]
    return Comparison(found, worker.truth_of(task, patterns, s_range), task.score)


def counted(known: Truth, species: int) -> np.ndarray:
    """Return which patterns are single hits of a species, pattern by pattern."""
    found = []
    for hit, start, stop in zip(
        known.hits, known.particles.offsets, known.particles.offsets[1:], strict=False
    ):
        found.append(hit == 1 and known.particles.model[start:stop].tolist() == [species])
    return np.array(found)


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle's frame is the truth's: it need not be found."""
    monkeypatch.setattr(comparison, "align", lambda *_: HERE)


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize(
    ("sample", "name", "number"),
    [
        ("water", "", 0),
        ("two", "", 1),
        ("two", "one", 0),
        ("models", "", 0),
        ("everything", "", 1),
        ("everything", "box", 2),
    ],
)
def test_the_oracle_is_near_one_and_only_single_hits_of_the_species_count(
    samples: dict[str, dict], tmp_path: Path, sample: str, name: str, number: int
) -> None:
    task = made(samples[sample], score={"species": name})
    beside = reconstructed(task, tmp_path)
    icc = shells(beside).value
    assert min(icc[len(icc) // 2 :]) > 0.85  # a few dozen patterns of a box are round farther in
    error = of_method(beside)
    assert error is not None
    assert error.p90_deg < 0.1
    known = read_truth(truth_path(tmp_path / "patterns.h5"))
    posed = np.isfinite(read_poses(tmp_path / "poses.h5")["orientations"]).all(1)
    assert (posed == counted(known, number)).all()
    assert (posed == torch.isfinite(beside.truth.orientations).all(1).numpy()).all()
    assert sample == "water" or 10 < posed.sum() < 0.8 * PATTERNS


@pytest.mark.usefixtures("in_place")
def test_another_species_than_the_scored_one_does_not_agree(
    samples: dict[str, dict], tmp_path: Path
) -> None:
    reconstructed(made(samples["two"]), tmp_path)
    wrong = compared(made(samples["two"], score={"species": "one"}), tmp_path)
    assert min(shells(wrong).value) < 0.5
    with pytest.raises(FormatError, match="no pattern has an orientation and shows the particle"):
        of_method(wrong)


def test_a_body_of_many_sizes_is_scored_at_the_median_one(tmp_path: Path) -> None:
    """The frame and the axes of the group are found as in any run."""
    beam = {"photons_per_pulse": 1e15}
    detector = {"rows": 32, "columns": 32, "pixel_size_mm": 2.5, "s_max_per_angstrom": 0.07}
    task = made(
        {"species": [GOLD | {"size_spread": 0.03}], "detector": detector, "beam": beam},
        score={"symmetry": "O"},
    )
    beside = reconstructed(task, tmp_path)
    assert len(beside.group) == 24
    assert min(shells(beside).value) > 0.85
    error = of_method(beside)
    assert error is not None
    assert error.p90_deg < 1.5
    edge, spacing = 30.0, beside.found.intensity.spacing
    forward = abs(beside.true_factors[(beside.found.intensity.grid // 2,) * 3])
    assert float(forward) == pytest.approx(abs(gold_density()) * edge**3, rel=1e-5)
    assert spacing < 1 / (2 * edge)


def gold_density() -> complex:
    return made({"species": [GOLD]}).simulate.sample[0].body().density(4600.0)


@pytest.mark.usefixtures("in_place")
def test_the_floor_takes_every_pattern_and_is_far_below(
    samples: dict[str, dict], tmp_path: Path
) -> None:
    beside = reconstructed(made(samples["everything"]), tmp_path, "floor")
    assert np.isfinite(read_poses(tmp_path / "poses.h5")["orientations"]).all()
    assert np.mean(shells(beside).value) < 0.5
    error = of_method(beside)
    assert error is not None
    assert error.median_deg > 60


def test_what_is_scored_in_water_is_the_particle_in_water(samples: dict[str, dict]) -> None:
    particle = true_particle(made(samples["water"]).simulate, "", (0.01, 0.05), None).particle
    assert not isinstance(particle, Atoms)
    assert particle.electrons < 0.8 * 60 * 6


def test_what_cannot_be_scored_is_said(samples: dict[str, dict], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"score.species is 'oter'; did you mean other"):
        made(samples["two"], score={"species": "oter"})
    made(
        samples["models"],
        score={"species": f"{samples['models']['species'][0]['structure']} model 2"},
    )
    ball = made({"species": [GOLD | {"shape": "sphere"}]})
    with pytest.raises(ConfigError, match="gold is a sphere, which looks the same from all sides"):
        true_particle(ball.simulate, "", (0.01, 0.05), None)
    blank = made({"species": [GOLD], "hits": {"blank_fraction": 1.0}, "patterns": 5})
    with pytest.raises(FormatError, match="none of the 5 patterns is a single hit of gold"):
        reconstructed(blank, tmp_path)


def test_the_truth_of_another_sample_is_refused(
    samples: dict[str, dict], structures: dict[str, str], tmp_path: Path
) -> None:
    few = {"patterns": 5}
    task, one = made(samples["two"] | few), samples["two"]["species"][:1]
    worker.simulate(task, tmp_path)
    path = truth_path(tmp_path / "patterns.h5")
    known = read_truth(path)
    check_sample(path, known, task.simulate)
    check_sample(path, known, dataclasses.replace(task.simulate, seed=9, patterns=70))
    for other, message in (
        ({"species": one}, r"it has the species one, other, expected one; give the file"),
        ({"species": [*one, *one]}, "name of other is 'other', expected 'one'"),
        ({"structure": structures["one"]}, "it has the species one, other, expected .*one.pdb;"),
    ):
        with pytest.raises(FormatError, match=f"is the truth of another sample.*: {message}"):
            check_sample(path, known, made(other | few).simulate)
    with h5py.File(path, "r+") as file:
        file.attrs["structures_sha256"] = '{"one.pdb": "ab", "other.pdb": "cd"}'
    with pytest.raises(FormatError, match=r"its one.pdb has the SHA-256 ab, expected [0-9a-f]{64}"):
        check_sample(path, read_truth(path), task.simulate)
