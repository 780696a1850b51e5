"""CrystFEL geometry files: positions in closed form, bad regions, messages."""

import numpy as np
import pytest

from xraisim.core.errors import ConfigError
from xraisim.instrument.beam import Beam
from xraisim.instrument.crystfel import read_geometry
from xraisim.instrument.detector import Detector, MaskReason, geometry
from xraisim.instrument.presets import describe

pytest.importorskip("cfel_fmt", reason="pip install 'x-rai[crystfel]' to test .geom files")

# Two chips of an AGIPD-like module, turned by a little and tilted, 64 × 128 pixels of 200 µm.
GEOM = """
; a comment
photon_energy = 6000 eV
adu_per_eV = 0.01
clen = 0.7
res = 5000  ; pixels per metre
coffset = 0.005
data = /entry_1/data_1/data
dim0 = %
dim1 = ss
dim2 = fs
rigid_group_m0 = p0a0,p0a1

p0a0/min_fs = 0
p0a0/max_fs = 127
p0a0/min_ss = 0
p0a0/max_ss = 63
p0a0/corner_x = -525.5
p0a0/corner_y = 625.25
p0a0/fs = +0.002x -0.999998y
p0a0/ss = +0.999998x +0.002y

p0a1/min_fs = 0
p0a1/max_fs = 127
p0a1/min_ss = 64
p0a1/max_ss = 127
p0a1/corner_x = -459.5
p0a1/corner_y = 625.0
p0a1/fs = -1.0y
p0a1/ss = +0.8x +0.6z
p0a1/coffset = 0.001
p0a1/no_index = 0
"""
BAD = """
bad_edge/panel = p0a1
bad_edge/min_fs = 10
bad_edge/max_fs = 12
bad_edge/min_ss = 64
bad_edge/max_ss = 65
"""
BAD_XY = """
bad_corner/min_x = -525.5
bad_corner/max_x = -523.5
bad_corner/min_y = 622.0
bad_corner/max_y = 626.0
"""


@pytest.fixture
def write(tmp_path):
    def to_file(text: str):
        path = tmp_path / "agipd.geom"
        path.write_text(text)
        return path

    return to_file


def test_positions_follow_corner_fs_and_ss(write):
    layout = read_geometry(write(GEOM), 1.0)
    assert [panel.name for panel in layout.panels] == ["p0a0", "p0a1"]
    assert layout.shape == (128, 128)
    assert layout.distance_mm == 700.0
    first, second = layout.split(layout.positions_mm())
    fs, ss = np.array([0.002, -0.999998, 0]), np.array([0.999998, 0.002, 0])
    corner = np.array([-525.5, 625.25, 0])
    for row, column in ((0, 0), (63, 127), (10, 20)):
        expected = 0.2 * (corner + (column + 0.5) * fs + (row + 0.5) * ss) + [0, 0, 705]
        np.testing.assert_allclose(first[row, column], expected, rtol=1e-12)
    expected = 0.2 * np.array([-459.5 + 0.8 * 9.5, 625 - 3.5, 0.6 * 9.5]) + [0, 0, 701]
    np.testing.assert_allclose(second[9, 3], expected, rtol=1e-12)


def test_a_detector_reads_the_file(write):
    detector = Detector(geometry_file=str(write(GEOM + BAD)), layout="cspad", binning=2)
    seen = geometry(detector, Beam())
    assert seen.shape == (64, 64)
    bad = (seen.reasons & MaskReason.BAD_REGION).reshape(64, 64).astype(bool)
    np.testing.assert_array_equal(np.argwhere(bad), [[32, 5], [32, 6]])
    assert describe(detector) == (
        "2 panels of 64 × 128 pixels of 0.2 mm at 700 mm, binned 2 × 2 to 4,096 pixels"
    )


def test_bad_regions_are_inclusive_and_count_as_the_data_do(write):
    bad = read_geometry(write(GEOM + BAD), 1.0).bad.reshape(128, 128)
    expected = np.zeros((128, 128), bool)
    expected[64:66, 10:13] = True
    np.testing.assert_array_equal(bad, expected)


def test_bad_regions_in_x_and_y_hold_the_pixels_whose_centre_lies_within(write):
    layout = read_geometry(write(GEOM + BAD_XY), 1.0)
    x, y = layout.positions_mm()[:, :2].T / 0.2
    expected = (x >= -525.5) & (x <= -523.5) & (y >= 622.0) & (y <= 626.0)
    np.testing.assert_array_equal(layout.bad, expected)
    assert layout.bad.sum() == 6


@pytest.mark.parametrize(
    ("line", "distance_mm"),
    [("clen = 0.56 m", 560.0), ("clen = 95.3 mm", 95.3), ("clen = /LCLS/EncoderValue", 321.0)],
)
def test_camera_lengths_carry_units_or_leave_it_to_the_configuration(write, line, distance_mm):
    layout = read_geometry(write(GEOM.replace("clen = 0.7", line)), 321.0)
    assert layout.distance_mm == pytest.approx(distance_mm)
    z = layout.split(layout.positions_mm())[0][..., 2]
    np.testing.assert_allclose(z, distance_mm + 5.0)


def test_panels_may_have_their_own_camera_length(write):
    layout = read_geometry(write(GEOM + "p0a1/clen = 0.8\n"), 1.0)
    first, second = layout.split(layout.positions_mm())
    assert (first[0, 0, 2], second[0, 0, 2]) == pytest.approx((705.0, 801.0 + 0.5 * 0.6 * 0.2))


def test_numbers_of_pixels_may_be_written_as_floats(write):
    text = GEOM.replace("p0a0/max_fs = 127", "p0a0/max_fs = 127.0")
    assert read_geometry(write(text), 1.0).shape == (128, 128)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clen = 0.7", "", r"agipd\.geom: panel p0a0 has no camera length; add 'clen = 0\.2'"),
        ("coffset = 0.005", "coffset = -0.9", "p0a0 is -200 mm downstream"),
        ("p0a0/max_fs = 127\n", "", "not a CrystFEL geometry that can be used: .*p0a0"),
        ("p0a0/corner_x = -525.5", "", "corner_mm of panel 'p0a0'"),
        ("res = 5000", "res = fine", "not a CrystFEL geometry that can be used"),
        ("res = 5000", "detector_shift_x = 1 mm", "add the shift to every corner"),
        ("; a comment", BAD.replace("p0a1", "p9"), "a bad region is on panel p9"),
    ],
)
def test_unusable_files_say_why(write, old, new, message):
    assert old in GEOM
    with pytest.raises(ConfigError, match=message):
        read_geometry(write(GEOM.replace(old, new)), 700.0)


def test_files_that_are_not_geometry_are_refused(write, tmp_path):
    with pytest.raises(ConfigError, match="cannot read the geometry file"):
        read_geometry(tmp_path / "absent.geom", 1.0)
    with pytest.raises(ConfigError, match="No panel descriptions"):
        read_geometry(write("clen = 0.7\n"), 1.0)
    binary = write("")
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read the geometry file"):
        read_geometry(binary, 1.0)


def test_a_missing_library_is_named(write, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cfel_fmt.geometry", None)
    with pytest.raises(ConfigError, match=r"pip install 'x-rai\[crystfel\]'"):
        read_geometry(write(GEOM), 1.0)
