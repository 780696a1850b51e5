import h5py
import numpy as np
import pytest

from xraisim.checks.validate import validate
from xraisim.core.errors import ConfigError, FormatError
from xraisim.files.patterns import PatternReader
from xraisim.formats import open_source, recognise
from xraisim.formats.convert import convert
from xraisim.formats.experiment import ExperimentConfig

from .conftest import frames_in

FRAMES = np.random.default_rng(2).poisson(1.5, (4, 5, 6))
DETECTOR = "entry_1/instrument_1/detector_1"


@pytest.fixture
def condor(tmp_path):
    """A file as Condor lays it out: a stack, masks per image, particles and source."""
    path = tmp_path / "condor.cxi"
    masks = np.zeros((4, 5, 6), np.uint16)
    masks[:, 0, 0], masks[2, 1, 1], masks[:, 2, 2] = 0x8, 0x2, 0x4000
    with h5py.File(path, "w") as file:
        file["entry_1/data_1/data"] = FRAMES.astype(float)
        file["entry_1/data_1/mask"] = masks
        file["particles/particle_00/extrinsic_quaternion"] = np.ones((4, 4)) / 2
        file["source/pulse_energy"] = np.ones(4)
    return path


SETTINGS = ExperimentConfig(
    particle_diameter_angstrom=100.0,
    beam={"photon_energy_ev": 2000.0},
    detector={"distance_mm": 50.0, "pixel_size_mm": 1.5},
)


def test_condor_files_import_without_their_truth(condor, tmp_path):
    assert recognise(condor) == "cxi"
    done = convert(condor, tmp_path / "out.h5", config=SETTINGS)
    assert "left out of the pattern file, as truth: particles, source" in done.notices
    assert "1 pixels are masked in some images only; they are masked in all" in done.notices
    assert not [finding for finding in validate(tmp_path / "out.h5") if finding.problems]
    with PatternReader(tmp_path / "out.h5") as reader:
        unused = sorted(set(range(30)) - set(reader.pixels.index.tolist()))
        assert unused == [0, 7]  # bit 0x4000 is no reason to leave a pixel out
        assert reader.read_raw(0, 4).count.sum() == FRAMES.sum() - FRAMES[:, [0, 1], [0, 1]].sum()


@pytest.mark.parametrize(
    "bit", [0x1, 0x2, 0x4, 0x8, 0x10, 0x80, 0x200, 0x400], ids=lambda bit: f"{bit:#x}"
)
def test_every_bit_that_spoils_a_pixel_masks_it(bit, tmp_path):
    path = tmp_path / "a.cxi"
    with h5py.File(path, "w") as file:
        file["entry_1/data_1/data"] = FRAMES
        mask = np.zeros((5, 6), np.uint32)
        mask[3, 4] = bit | 0x1000
        file["entry_1/data_1/mask"] = mask
    with open_source(path) as source:
        assert np.flatnonzero(source.known.mask).tolist() == [3 * 6 + 4]


def test_images_one_by_one_in_the_order_of_their_numbers(tmp_path):
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        for number in range(12):
            group = file.create_group(f"entry_1/image_{number + 1}")
            group["data"] = np.full((5, 6), number)
            group["mask"] = np.zeros((5, 6), np.uint32)
            group["image_center"] = [3.5, 1.0, 0.0]  # x, y, z
    assert (frames_in(path)[:, 0] == np.arange(12)).all()
    convert(path, tmp_path / "out.h5", config=SETTINGS)
    with h5py.File(tmp_path / "out.h5") as file:
        position = file["detector/position"][()].reshape(5, 6, 3)
    np.testing.assert_allclose(position[0, 0], [-3.5 * 1.5, -1.0 * 1.5, 50.0], rtol=1e-6)
    np.testing.assert_allclose(position[1, 3], [-0.5 * 1.5, 0.0, 50.0], rtol=1e-6)


def test_images_whose_centre_moves_are_said_to(tmp_path):
    path = tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        for number in range(2):
            file[f"entry_1/image_{number + 1}/data"] = FRAMES[0]
            file[f"entry_1/image_{number + 1}/image_center"] = [3.0 * number, 1.0]
    with open_source(path) as source:
        assert source.known.centre is None
        assert "move by more than half a pixel" in source.notices[0]


def test_si_units_become_ours(tmp_path):
    path = tmp_path / "a.cxi"
    with h5py.File(path, "w") as file:
        file["entry_1/data_1/data"] = FRAMES
        file["entry_1/instrument_1/source_1/energy"] = 3000.0 * 1.602176634e-19
        file[f"{DETECTOR}/distance"] = 0.7
        file[f"{DETECTOR}/x_pixel_size"] = 75e-6
    with open_source(path) as source:
        assert source.known.photon_energy_ev == pytest.approx(3000.0)
        assert source.known.distance_mm == pytest.approx(700.0)
        assert source.known.pixel_size_mm == pytest.approx(0.075)


def test_expected_intensities_are_refused(condor, tmp_path):
    with h5py.File(condor, "r+") as file:
        file["entry_1/data_1/data"][1, 4, 5] = 0.37
    with pytest.raises(FormatError, match=r"frame 1, pixel 29 is 0.37.*draw photons"):
        convert(condor, tmp_path / "out.h5", config=SETTINGS)
    assert not (tmp_path / "out.h5").exists()


def test_a_cxi_file_without_images_says_where_it_looked(tmp_path):
    with h5py.File(tmp_path / "a.cxi", "w") as file:
        file.create_group("entry_1")
    with pytest.raises(FormatError, match="neither /entry_1/data_1/data nor /entry_1/image_1/data"):
        open_source(tmp_path / "a.cxi")


@pytest.fixture
def skopi(tmp_path):
    """Two panels of 3 × 4 pixels at 4,000 eV, as skopi's scripts lay a file out."""
    path = tmp_path / "skopi.h5"
    rng = np.random.default_rng(4)
    y, x = np.indices((3, 4)).astype(float)
    panel = np.stack([x - 1.5, y + 2.0, np.full((3, 4), 90.0)], -1)
    place = np.stack([panel, panel - np.array([0.3, 8.0, 0.0])])
    wave = 4000.0 / 12398.419843320026e-10  # 1/λ in 1/m
    out = place / np.linalg.norm(place, axis=-1, keepdims=True)
    with h5py.File(path, "w") as file:
        file["photons"] = rng.poisson(0.4, (3, 2, 3, 4))
        file["pixel_position_reciprocal"] = wave * (out - np.array([0, 0, 1.0]))
        file["orientations"] = np.ones((3, 1, 4)) / 2
        file["volume"] = np.ones((5, 5, 5))
    return path, place


def test_skopi_geometry_and_wavelength_are_recovered(skopi, tmp_path):
    path, place = skopi
    told = ExperimentConfig(
        particle_diameter_angstrom=100.0, detector={"distance_mm": 90.0, "pixel_size_mm": 1.0}
    )
    done = convert(path, tmp_path / "out.h5", config=told)
    assert "as truth: orientations, volume" in done.notices[0]
    assert not [finding for finding in validate(tmp_path / "out.h5") if finding.problems]
    with h5py.File(tmp_path / "out.h5") as file, h5py.File(path) as given:
        assert file["beam/photon_energy"][()] == pytest.approx(4000.0, rel=1e-9)
        s = given["pixel_position_reciprocal"][()].reshape(-1, 3) * 1e-10
        np.testing.assert_allclose(file["detector/s"], s, atol=1e-7)
        np.testing.assert_allclose(file["detector/position"], place.reshape(-1, 3), atol=1e-3)
        assert file["detector"].attrs["shape"].tolist() == [6, 4]
        assert frames_in(path).tolist() == given["photons"][()].reshape(3, -1).tolist()
    with h5py.File(path, "r+") as file:  # components first, as some writers have them
        last = file["pixel_position_reciprocal"][()]
        del file["pixel_position_reciprocal"]
        file["pixel_position_reciprocal"] = np.moveaxis(last, -1, 0)
    with open_source(path) as source:
        np.testing.assert_allclose(
            source.known.direction[:, :2] / source.known.direction[:, 2:] * 90,
            place.reshape(-1, 3)[:, :2],
            rtol=1e-6,
        )


def test_intensities_divided_by_the_solid_angle_are_refused(skopi, tmp_path):
    path, _ = skopi
    with h5py.File(path, "r+") as file:
        file["intensities"] = file["photons"][()] / 1e-3 / 7
        del file["photons"]
    with open_source(path) as source, pytest.raises(FormatError, match="divisions by solid angle"):
        source.read(0, 3)


def test_vectors_off_the_ewald_sphere_are_refused(skopi):
    path, _ = skopi
    with h5py.File(path, "r+") as file:
        file["pixel_position_reciprocal"][..., 2] = 0
    with pytest.raises(FormatError, match="does not lie on one Ewald sphere"):
        open_source(path)


def test_what_is_not_known_is_asked_for(condor, tmp_path):
    def error(config: ExperimentConfig) -> str:
        with pytest.raises(ConfigError) as caught:
            convert(condor, tmp_path / "out.h5", config=config)
        return str(caught.value)

    diameter = {"particle_diameter_angstrom": 100.0}
    energy = {"beam": {"photon_energy_ev": 2000.0}}
    size = {"detector": {"distance_mm": 50.0, "pixel_size_mm": 1.5}}
    assert "photon energy is not in the file" in error(ExperimentConfig(**diameter, **size))
    assert "distance_mm and pixel_size_mm are not" in error(ExperimentConfig(**diameter, **energy))
    assert "--diameter" in error(ExperimentConfig(**energy, **size))
    assert "did you mean detector.distance_mm" in error(
        ExperimentConfig(**diameter, **energy, detector={**size["detector"], "distance_m": 1.0})
    )
    assert "they must agree" in error(ExperimentConfig(**diameter, instrument="xrai2025"))
    assert "unknown instrument" in error(ExperimentConfig(**diameter, instrument="lcls9"))
    with pytest.raises(ConfigError, match="expected above 0"):
        ExperimentConfig(particle_diameter_angstrom=0.0)


def test_masks_of_file_and_detector_are_joined(condor, tmp_path):
    told = ExperimentConfig(
        particle_diameter_angstrom=100.0,
        beam={"photon_energy_ev": 2000.0},
        detector={"distance_mm": 50.0, "pixel_size_mm": 1.5, "beamstop_radius_mm": 1.2},
    )
    done = convert(condor, tmp_path / "out.emc", config=told)
    with h5py.File(done.detector_path, "r+") as file:
        file["mask"][0] = 0  # the CXI file's own
    back = ExperimentConfig(
        particle_diameter_angstrom=100.0,
        beam={"photon_energy_ev": 2000.0},
        detector={"pixel_size_mm": 1.5},
    )
    convert(condor, tmp_path / "out.h5", config=back, detector=done.detector_path)
    with h5py.File(tmp_path / "out.h5") as file:
        # 14 and 15: the two pixels beside the centre of 5 × 6
        assert np.flatnonzero(file["detector/mask"]).tolist() == [0, 7, 14, 15]


def test_geometry_that_is_known_goes_along_without_a_diameter(skopi, tmp_path):
    path, _ = skopi
    told = ExperimentConfig(detector={"distance_mm": 90.0, "pixel_size_mm": 1.0})
    done = convert(path, tmp_path / "out.emc", config=told)
    assert done.detector_path == str(tmp_path / "out.detector.h5")
    done = convert(path, tmp_path / "bare.emc")
    assert done.detector_path == ""
    assert "beam and detector are not known and were not written" in done.notices
