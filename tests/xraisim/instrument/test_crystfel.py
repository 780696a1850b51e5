"""CrystFEL geometry files: positions in closed form, bad regions, messages."""

import numpy as np
import pytest

from xraisim.core.errors import ConfigError
from xraisim.instrument.beam import Beam
from xraisim.instrument.crystfel import read_geometry
from xraisim.instrument.detector import Detector, MaskReason, geometry, pixel_positions
from xraisim.instrument.presets import describe

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
    with pytest.warns(UserWarning, match="not used: photon_energy = 6000 eV, adu_per_eV = 0.01"):
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
        (
            "p0a0/max_fs = 127\n",
            "",
            r"agipd\.geom: p0a0/max_fs is missing; expected a number",
        ),
        ("p0a0/corner_x = -525.5", "", "p0a0/corner_x is missing; expected a number"),
        ("res = 5000", "res = fine", "p0a0/res is 'fine'; expected a number"),
        ("res = 5000", "res = 0.2", "pixel size is 5000 mm; experiments have"),
        ("clen = 0.7", "clen = 700", "distance is 700 m, which is 7e.05 mm.*700 mm.*that the unit"),
        ("p0a1/fs = -1.0y", "p0a1/fs = -1.0q", "p0a1/fs is '-1.0q'; expected a direction"),
        ("p0a1/fs = -1.0y", f"p0a1/fs = {'1' * 20_000}", "expected a direction"),  # at once
        ("p0a1/fs = -1.0y", f"p0a1/fs = {'1' * 5000}y", "expected finite components"),
        ("p0a1/min_ss = 64", "p0a1/min_ss = 63", "panels overlap in the data"),
        ("dim2 = fs", "dim2 = ss", "with ss and fs once each"),
        ("dim0 = %\ndim1 = ss\ndim2 = fs", "dim0 = ss\ndim1 = fs\ndim2 = %", "frames' axis"),
        ("res = 5000", "rail_direction = +x", "add the shift to every corner"),
        ("res = 5000", "detector_shift_x = 1 mm", "add the shift to every corner"),
        (
            "; a comment",
            BAD.replace("p0a1", "p9"),
            "bad_edge/panel is 'p9'; expected the name of a panel",
        ),
    ],
)
def test_unusable_files_say_why(write, old, new, message):
    assert old in GEOM
    with pytest.raises(ConfigError, match=message):
        read_geometry(write(GEOM.replace(old, new)), 700.0)


def test_files_that_are_not_geometry_are_refused(write, tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.geom: No such file"):
        read_geometry(tmp_path / "absent.geom", 1.0)
    with pytest.raises(ConfigError, match="no panels"):
        read_geometry(write("clen = 0.7\n"), 1.0)
    binary = write("")
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not a readable CrystFEL geometry"):
        read_geometry(binary, 1.0)


TILED = """
clen = 0.1
res = 10000
data = /data/data
dim0 = %
dim1 = ss
dim2 = fs
fs = +x
ss = +y
"""


def tile(name: str, fs: int, ss: int, corner: tuple[float, float], rows: int = 4) -> str:
    """A panel of ``rows`` × 6 pixels that begins at (ss, fs) in the data."""
    limits = {"min_fs": fs, "max_fs": fs + 5, "min_ss": ss, "max_ss": ss + rows - 1}
    limits |= {"corner_x": corner[0], "corner_y": corner[1]}
    return "".join(f"{name}/{key} = {value}\n" for key, value in limits.items())


# Listed in another order than the data have them: below right, above left, above right.
TILES = tile("c", 6, 4, (10, -9), rows=2) + tile("a", 0, 0, (-20, 3)) + tile("b", 6, 0, (10, 3))


def test_panels_side_by_side_lie_where_the_data_have_them(write):
    detector = Detector(geometry_file=str(write(TILED + TILES)))
    seen = geometry(detector, Beam())
    assert seen.shape == (6, 12)
    place = seen.position_mm.reshape(6, 12, 3) / 0.1
    np.testing.assert_allclose(place[0, 0, :2], [-19.5, 3.5])  # a
    np.testing.assert_allclose(place[3, 11, :2], [15.5, 6.5])  # b
    np.testing.assert_allclose(place[5, 6, :2], [10.5, -7.5])  # c
    panel = seen.panel.reshape(6, 12)
    assert (panel[:4, :6] == 1).all()
    assert (panel[:4, 6:] == 2).all()
    assert (panel[4:, 6:] == 0).all()
    nowhere = seen.mask.reshape(6, 12)
    assert nowhere[4:, :6].all()
    assert nowhere.sum() == 12
    assert np.isfinite(seen.position_mm).all()
    assert (seen.gain[~seen.mask] > 0).all()
    np.testing.assert_array_equal(pixel_positions(detector), seen.position_mm)


def test_binned_panels_stay_where_they_were(write):
    detector = Detector(geometry_file=str(write(TILED + TILES)), binning=2)
    seen = geometry(detector, Beam())
    assert seen.shape == (3, 6)
    place = seen.position_mm.reshape(3, 6, 3) / 0.1
    np.testing.assert_allclose(place[0, 0, :2], [-19.0, 4.0])
    np.testing.assert_allclose(place[2, 3, :2], [11.0, -8.0])
    assert seen.mask.reshape(3, 6)[2, :3].all()


def test_a_mask_is_in_the_order_of_the_data(write, tmp_path):
    mask = np.zeros((6, 12), np.uint8)
    mask[4, 7] = 1
    np.save(tmp_path / "mask.npy", mask)
    detector = Detector(
        geometry_file=str(write(TILED + TILES)), mask_file=str(tmp_path / "mask.npy")
    )
    reasons = geometry(detector, Beam()).reasons.reshape(6, 12)
    assert np.argwhere(reasons & MaskReason.FILE).tolist() == [[4, 7]]


def test_modules_of_a_stack_are_placed_by_their_number(write):
    text = TILED.replace("dim2 = fs", "dim2 = ss\ndim3 = fs").replace("dim1 = ss", "dim1 = 0")
    text += tile("p1", 0, 0, (1, 0)) + "p1/dim1 = 1\n" + tile("p0", 0, 0, (-8, 0))
    seen = geometry(Detector(geometry_file=str(write(text))), Beam())
    assert seen.shape == (8, 6)
    assert (seen.panel.reshape(2, 24) == [[1], [0]]).all()


def test_fast_axis_first_is_a_transposed_frame(write):
    text = TILED.replace("dim1 = ss", "dim1 = fs").replace("dim2 = fs", "dim2 = ss")
    seen = geometry(Detector(geometry_file=str(write(text + tile("a", 0, 0, (-3, -2))))), Beam())
    assert seen.shape == (6, 4)
    x, y = np.moveaxis(seen.position_mm.reshape(6, 4, 3)[..., :2] / 0.1, -1, 0)
    np.testing.assert_allclose(x, np.arange(6)[:, None] - np.full(4, 2.5))
    np.testing.assert_allclose(y, np.full((6, 1), -1.5) + np.arange(4))


def test_edges_and_panels_that_are_not_to_be_used_are_bad(write):
    text = TILED + "mask_edge_pixels = 1\n" + TILES + "b/no_index = 1\na/mask_edge_pixels = 0\n"
    bad = read_geometry(write(text), 1.0).bad
    c, a, b = bad[:12].reshape(2, 6), bad[12:36], bad[36:]
    assert c.all()  # two rows, both of them edges
    assert not a.any()
    assert b.all()
    bad = read_geometry(write(TILED + "mask_edge_pixels = 1\n" + TILES), 1.0).bad
    inner = np.ones((4, 6), bool)
    inner[1:-1, 1:-1] = False
    np.testing.assert_array_equal(bad[12:36].reshape(4, 6), inner)


def test_what_is_left_out_is_named(write):
    text = "max_adu = 9000\nmask_file = m.h5\nadu_per_photon = 1\nmask_egde_pixels = 1\n"
    (notice,) = read_geometry(write(text + TILED + TILES), 1.0).notices
    assert "not used: max_adu = 9000, mask_file = m.h5, mask_egde_pixels = 1" in notice
    assert "is it mask_edge_pixels?" in notice
    (notice,) = read_geometry(write(TILED.replace("0.1", "/LCLS/z", 1) + TILES), 300.0).notices
    assert "clen is /LCLS/z in each data file; detector.distance_mm is used" in notice


def test_it_agrees_with_another_reader(write):
    cfel = pytest.importorskip("cfel_fmt.geometry")
    path = write(GEOM.replace("photon_energy = 6000 eV", "photon_energy = 6000"))
    theirs = cfel.load_crystfel_geometry(str(path)).detector["panels"]
    for panel in read_geometry(path, 1.0).panels:
        raw = theirs[panel.name]
        assert (panel.rows, panel.columns) == (raw["h"], raw["w"])
        # the library leaves an axis that is not named at its default, so look at those named
        assert panel.corner_mm[:2] == pytest.approx((raw["cnx"] / 5, raw["cny"] / 5))
        assert panel.fs_mm[1] == pytest.approx(raw["fsy"] / 5)
        assert panel.ss_mm[0] == pytest.approx(raw["ssx"] / 5)
