"""What CXI says of source and detector is used, named, or refused."""

import h5py
import numpy as np
import pytest

from xraisim.core.errors import ConfigError, FormatError
from xraisim.formats import open_source
from xraisim.formats.convert import convert
from xraisim.formats.counts import dense
from xraisim.formats.experiment import ExperimentConfig, assemble
from xraisim.instrument.ranges import JOULE_PER_EV

DETECTOR, STACK = "entry_1/instrument_1/detector_1", "entry_1/data_1/data"
ENERGY = "entry_1/instrument_1/source_1/energy"
FRAMES = np.random.default_rng(7).poisson(0.8, (4, 5, 6))
SCALARS = {
    ENERGY: 3000.0 * JOULE_PER_EV,
    f"{DETECTOR}/distance": 0.2,
    f"{DETECTOR}/x_pixel_size": 1e-3,
    f"{DETECTOR}/y_pixel_size": 1e-3,
}


@pytest.fixture
def write(tmp_path):
    """Write a CXI file with the datasets given, over a plain one; ``None`` leaves one out."""

    def to_file(units: dict[str, str] | None = None, **values):
        path = tmp_path / "a.cxi"
        names = {"energy": ENERGY, "data": STACK, "mask": "entry_1/data_1/mask"}
        given = {names.get(key, f"{DETECTOR}/{key}"): value for key, value in values.items()}
        with h5py.File(path, "w") as file:
            for name, value in ({STACK: FRAMES} | SCALARS | given).items():
                if value is not None:
                    file[name] = value
            for name, unit in (units or {}).items():
                file[names.get(name, f"{DETECTOR}/{name}")].attrs["units"] = unit
        return path

    return to_file


def detector_of(path, **settings):
    """The geometry that a conversion would write, and the notices."""
    with open_source(path) as source:
        return assemble(source.known, ExperimentConfig(**settings)).detector, source.notices


def test_corner_and_basis_vectors_place_the_pixels(write):
    basis = [[0.0, -1e-3, 0.0], [-1e-3, 0.0, 0.0]]
    seen, _ = detector_of(write(corner_position=[4e-3, 2e-3, 0.2], basis_vectors=basis))
    place = seen.position_mm.reshape(5, 6, 3)
    np.testing.assert_allclose(place[0, 0], [3.5, 1.5, 200.0])
    np.testing.assert_allclose(place[4, 5], [3.5 - 5, 1.5 - 4, 200.0])
    again, _ = detector_of(write(corner_position=[4e-3, 2e-3, 0.2]))  # which is the default basis
    np.testing.assert_allclose(again.position_mm, seen.position_mm)


def test_modules_lie_where_their_corners_are(write):
    frames = np.random.default_rng(1).poisson(1.0, (4, 2, 5, 6))
    corners = np.array([[1e-3, 6e-3, 0.2], [-7e-3, 6e-3, 0.21]])
    basis = np.array([[[0, -1e-3, 0], [1e-3, 0, 0]], [[0, 1e-3, 0], [0, 0, 1e-3]]])
    seen, _ = detector_of(write(data=frames, corner_position=corners, basis_vectors=basis))
    place = seen.position_mm.reshape(2, 5, 6, 3)
    np.testing.assert_allclose(place[0, 1, 2], [1 + 2.5, 6 - 1.5, 200.0])
    np.testing.assert_allclose(place[1, 1, 2], [-7.0, 6 + 1.5, 210 + 2.5])
    tilted = abs(np.cross([0, 1, 0], [0, 0, 1]) @ place[1, 1, 2])
    expected = tilted / np.linalg.norm(place[1, 1, 2]) ** 3
    assert seen.solid_angle_sr.reshape(2, 5, 6)[1, 1, 2] == pytest.approx(expected)


def test_panels_that_nothing_places_are_refused(write):
    path = write(data=np.ones((4, 2, 5, 6), int))
    with pytest.raises(ConfigError, match="2 panels, and nothing says where they are"):
        detector_of(path)
    seen, _ = detector_of(path, detector={"rows": 10, "columns": 6})
    assert seen.shape == (10, 6)


def test_translation_and_orientation_place_the_middle(write):
    turned = np.array([0.0, 1.0, 0.0, -1.0, 0.0, 0.0])  # x′ along y, y′ against x
    path = write(**{"geometry_1/translation": [1e-3, 0, 0.3], "geometry_1/orientation": turned})
    place = detector_of(path)[0].position_mm.reshape(5, 6, 3)
    np.testing.assert_allclose(place.mean((0, 1)), [1.0, 0.0, 300.0])
    np.testing.assert_allclose(place[0, 1] - place[0, 0], [0, -1.0, 0], atol=1e-9)
    np.testing.assert_allclose(place[1, 0] - place[0, 0], [1.0, 0, 0], atol=1e-9)


def test_pixels_need_not_be_square(write):
    seen, _ = detector_of(write(y_pixel_size=2e-3))
    place = seen.position_mm.reshape(5, 6, 3)
    np.testing.assert_allclose(place[1, 1] - place[0, 0], [1.0, 2.0, 0.0], atol=1e-9)
    middle = 2.0 * 200.0 / np.linalg.norm(place[2, 3]) ** 3
    assert seen.solid_angle_sr.reshape(5, 6)[2, 3] == pytest.approx(middle)


def test_maps_may_count_from_the_detector_and_have_holes(write):
    y, x = np.indices((5, 6)) * 1e-3
    places = np.stack([x, y, np.zeros((5, 6))])
    places[:, 2, 3] = np.nan
    seen, notices = detector_of(write(xyz_map=places))
    assert seen.position_mm.reshape(5, 6, 3)[4, 5] == pytest.approx([5.0, 4.0, 200.0])
    assert np.flatnonzero(seen.mask).tolist() == [2 * 6 + 3]
    assert "counts z from the detector" in " ".join(notices)
    assert "1 pixels have no place" in " ".join(notices)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"energy": 8000.0}, r"photon energy is 8000 J, .*\(8000 eV would be"),
        ({"energy": 0.0}, "photon energy is 0 J"),
        ({"energy": np.nan}, "photon energy is nan J"),
        ({"distance": 200.0}, r"distance is 200 m, .*\(200 mm or"),
        ({"distance": -0.2}, "distance is -0.2 m"),
        ({"x_pixel_size": 1.0, "y_pixel_size": 1.0}, r"pixel size is 1 m, .*\(1 mm"),
        ({"y_pixel_size": 75.0}, r"pixel size is 75 m, .*\(75 µm would be"),
        ({"corner_position": [3.0, 3.0, 200.0]}, r"distance is 200 m, .*\(200 mm"),
        ({"corner_position": [0.0, 0.0, -0.2]}, "distance is -0.2 m"),
    ],
)
def test_what_no_experiment_has_is_refused_with_the_unit_that_was_read(write, values, message):
    with pytest.raises(FormatError, match=message):
        detector_of(write(**values))


def test_what_is_said_by_hand_wins_over_a_wrong_file(write):
    seen, _ = detector_of(
        write(energy=8000.0, distance=200.0),
        beam={"photon_energy_ev": 8000.0},
        detector={"distance_mm": 300.0},
    )
    assert seen.position_mm[0, 2] == 300.0


def test_units_that_are_named_are_believed(write):
    path = write(
        energy=3000.0,
        distance=20.0,
        x_pixel_size=1000.0,
        units={"energy": "eV", "distance": "cm", "x_pixel_size": "um"},
    )
    with open_source(path) as source:
        known = source.known
    assert known.photon_energy_ev == pytest.approx(3000.0)
    assert known.distance_mm == pytest.approx(200.0)
    assert known.pixel_size_mm == pytest.approx(1.0)
    with pytest.raises(FormatError, match="in 'furlong'; expected numbers in one of mm, m"):
        open_source(write(units={"distance": "furlong"}))


def test_energies_that_vary_or_miss_are_told(write):
    energy = np.array([2900.0, 3100.0, 0.0, np.nan]) * JOULE_PER_EV
    with open_source(write(energy=energy)) as source:
        assert source.known.photon_energy_ev == pytest.approx(3000.0)
        said = " ".join(source.notices)
    assert "photon energy is missing of 2 of 4 images" in said
    assert "varies from 2900 to 3100 eV" in said


def test_all_entries_of_one_geometry_are_read(write):
    path = write()
    with h5py.File(path, "r+") as file:
        for number, distance in ((3, 0.2), (2, 0.2), (10, 0.25)):
            file[f"entry_{number}/data_1/data"] = FRAMES[0] + number  # an image each
            file[f"entry_{number}/instrument_1/detector_1/distance"] = distance
        file["entry_1/data_2/data"] = FRAMES
    with open_source(path) as source:
        assert source.patterns == 6
        read = dense(source.read(0, 6), 30).reshape(6, 5, 6)
        np.testing.assert_array_equal(read[:4], FRAMES)
        np.testing.assert_array_equal(read[4:], FRAMES[0] + np.array([2, 3])[:, None, None])
        np.testing.assert_array_equal(dense(source.read(3, 5), 30), read[3:5].reshape(2, -1))
        said = " ".join(source.notices)
    assert "left out: /entry_1/data_2, of other detectors" in said
    assert "left out: 1 images (/entry_10/data_1/data) whose shape or geometry" in said


def test_a_named_dataset_has_the_geometry_of_its_own_detector(write):
    path = write()
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/detector_2/distance"] = 0.9
        file["entry_1/instrument_1/detector_2/data"] = FRAMES
        file["entry_1/data_2/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_2/data")
    for name in ("entry_1/data_2/data", "entry_1/instrument_1/detector_2/data"):
        with open_source(path, dataset=name) as source:
            assert source.known.distance_mm == pytest.approx(900.0)


def test_a_single_image_of_a_modular_detector_is_one_pattern(write):
    corners = np.array([[1e-3, 6e-3, 0.2], [-7e-3, 6e-3, 0.2]])
    with open_source(write(data=np.ones((2, 5, 6), int), corner_position=corners)) as source:
        assert (source.patterns, source.known.pixels) == (1, 60)


def test_bits_that_cxi_does_not_define_make_every_bit_count(write):
    mask = np.zeros((5, 6), np.uint32)
    mask[0, :3] = 0x20, 0x800, 0x80000
    with open_source(write(mask=mask)) as source:
        assert np.flatnonzero(source.known.mask).tolist() == [0, 1, 2]
        assert "bits that CXI does not define (0x80000)" in " ".join(source.notices)
    mask[0, 2] = 0x80
    with open_source(write(mask=mask)) as source:
        assert np.flatnonzero(source.known.mask).tolist() == [2]
        assert "mask bits 0x20, 0x800 are set on 2 pixels" in " ".join(source.notices)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((5, 6)), "is of type float64; expected integers"),
        (np.zeros((6, 5), np.uint32), r"has shape \(6, 5\); expected \(5, 6\)"),
        (np.zeros((3, 5, 6), np.uint32), "or one for every image"),
    ],
)
def test_masks_that_are_none_are_refused(write, mask, message):
    with pytest.raises(FormatError, match=message):
        open_source(write(mask=mask))


def test_images_that_are_no_patterns_are_refused(tmp_path):
    for name, value in (("data_space", "real"), ("data_type", "amplitude"), ("is_fft_shifted", 1)):
        with h5py.File(tmp_path / f"{name}.cxi", "w") as file:
            file["entry_1/image_1/data"] = FRAMES[0]
            file[f"entry_1/image_1/{name}"] = value
        with pytest.raises(FormatError, match=f"{name} is '{value}'; expected"):
            open_source(tmp_path / f"{name}.cxi")


def test_a_mask_the_wrong_way_round_is_remarked(write, tmp_path):
    frames, mask = np.zeros((4, 5, 6), int), np.ones((5, 6), np.uint32)
    frames[:, 1:] = 1
    mask[0] = 0
    done = convert(
        write(data=frames, mask=mask),
        tmp_path / "out.h5",
        config=ExperimentConfig(particle_diameter_angstrom=100.0),
    )
    assert "is the mask the other way round?" in " ".join(done.notices)
