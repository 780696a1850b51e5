"""Data sets that come in other people's formats are reconstructed as the native ones are."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from xrai.train import reconstruct
from xraisim.core import rotations
from xraisim.core.symmetry import angle_modulo_mate
from xraisim.files.patterns import PatternReader
from xraisim.files.truth import read_truth, truth_path
from xraisim.formats.convert import convert
from xraisim.formats.experiment import ExperimentConfig

from .conftest import PIXEL_MM

#: what a format does not hold and has to be told, beside the diameter and the fluence
TOLD = {
    "emc": {"beam": {"photon_energy_ev": 4600.0}, "detector": {"pixel_size_mm": PIXEL_MM}},
    "cxi": {"background_photons_per_pixel": 4.0},
    "skopi": {
        "background_photons_per_pixel": 4.0,
        "detector": {"distance_mm": 200.0, "pixel_size_mm": PIXEL_MM},
    },
}


def orientations(run: Path) -> torch.Tensor:
    with h5py.File(run / "poses.h5") as file:
        return torch.from_numpy(file["orientations"][()])


def share_within(found: torch.Tensor, true: torch.Tensor, degrees: float) -> float:
    """Share of poses near truth·A modulo mates, for the A that fits most of them."""
    turns = rotations.multiply(rotations.conjugate(true), found)
    return max(
        float(
            (angle_modulo_mate(found, rotations.multiply(true, turn[None])) < degrees)
            .float()
            .mean()
        )
        for turn in turns[:40]
    )


@pytest.fixture(scope="module")
def native_run(native, small_config, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("run") / "native"
    reconstruct(native, run, small_config, quiet=True)
    true = torch.from_numpy(read_truth(truth_path(native)).orientations)
    assert share_within(orientations(run), true, 10.0) > 0.7
    return run


@pytest.fixture(scope="module")
def there_and_back(native, tmp_path_factory):
    """Return a function that gives the native data set back out of another format."""
    directory = tmp_path_factory.mktemp("formats")

    def converted(name: str) -> Path:
        there, back = directory / f"there.{name}", directory / f"{name}.h5"
        if back.exists():
            return back
        convert(native, there, target=name)
        with PatternReader(native) as reader:
            diameter = reader.info["particle_diameter_angstrom"]
            fluence = reader.info["fluence_photons_per_um2"]
        told = TOLD[name]
        beam = told.get("beam", {}) | {"photons_per_pulse": fluence, "focus_radius_um": np.pi**-0.5}
        config = ExperimentConfig(particle_diameter_angstrom=diameter, **told | {"beam": beam})
        detector = there.with_name("there.detector.h5") if name == "emc" else None
        convert(there, back, config=config, detector=detector)
        return back

    return converted


@pytest.mark.parametrize("name", TOLD)
def test_what_a_reconstruction_reads_does_not_mind_the_format(native, there_and_back, name):
    with PatternReader(native) as one, PatternReader(there_and_back(name)) as other:
        assert len(one.pixels) == len(other.pixels) < 2 * 30 * 64
        assert torch.allclose(one.pixels.s, other.pixels.s, atol=1e-7)
        assert torch.allclose(one.pixels.gain, other.pixels.gain, rtol=1e-4)
        assert torch.allclose(one.pixels.background, other.pixels.background)
        counts = [reader.read(0, 600).dense(len(reader.pixels)) for reader in (one, other)]
        # where |s| is the same within rounding, pixels may change places
        assert torch.equal(*(some.sum(1) for some in counts))
        assert (counts[0] != counts[1]).float().mean() < 0.01


@pytest.mark.long  # what it reads is compared above; a reconstruction of each takes half a minute
@pytest.mark.parametrize("name", TOLD)
def test_a_reconstruction_does_not_mind_the_format(
    native_run, there_and_back, small_config, tmp_path, name
):
    reconstruct(there_and_back(name), tmp_path / "run", small_config, quiet=True)
    expected = orientations(native_run)
    assert share_within(orientations(tmp_path / "run"), expected, 10.0) > 0.8
