"""The twin runs from one command, and goes on where it was stopped."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from benchmarks.studies.common import stages as common
from benchmarks.studies.virus_twin import pr772, stages
from benchmarks.studies.virus_twin.settings import load
from xraisim.core.errors import ConfigError
from xraisim.photons.hits import BLANK, CONTAMINANT, MULTIPLE, SINGLE


def test_the_twin_has_the_experiments_geometry():
    settings = load(pr772.SETTINGS)
    assert settings.simulate.patterns == 15_000
    assert settings.xrai.symmetry == pr772.GROUP
    assert settings.body.diameter_angstrom == pytest.approx(700, rel=0.02)
    assert settings.of(100).seeded(3).simulate.seed == 3
    with pytest.raises(ConfigError, match="one \\[\\[species\\]\\] with a shape"):
        dataclasses.replace(settings, simulate=dataclasses.replace(settings.simulate, species=()))


def test_selection_figures_count_every_kind():
    hits = np.array([BLANK, SINGLE, SINGLE, MULTIPLE, CONTAMINANT, SINGLE], np.uint8)
    found = pr772.selection_figures(hits, np.array([1, 2, 3, 4]))
    assert found["kept"] == {"blank": 0, "single": 2, "multiple": 1, "contaminant": 1}
    assert found["purity"] == 0.5
    assert found["completeness"] == pytest.approx(2 / 3)


@pytest.mark.long
def test_a_small_twin_is_reconstructed_to_its_size_and_shape(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    settings = load(pr772.SETTINGS).of(1200)
    pr772.run(settings, tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["selection"]["purity"] > 0.6
    resolutions = {one["rule"]: one["angstrom"] for one in record["resolutions"]}
    assert resolutions["icc_truth_angular_0.5"] < 130
    assert resolutions["fsc_truth_0.5"] < 130
    found, true = record["shape"]["found"], record["shape"]["true"]
    for name in ("sphere_diameter_angstrom", "radius_of_gyration_angstrom", "face_angstrom"):
        assert found[name] == pytest.approx(true[name], rel=0.05)
    assert found["corner_to_face"] > 1.1
    # Run again, nothing is made again: neither simulated, nor classified, nor trained.
    for module, name in (
        (stages, "classify"),
        (stages, "phase"),
        (common, "reconstruct"),
        (common, "resume"),
    ):
        monkeypatch.setattr(module, name, None)
    again = pr772.run(settings, tmp_path)
    assert again["resolutions"] == [
        {**one, "angstrom": pytest.approx(one["angstrom"])} for one in record["resolutions"]
    ]
