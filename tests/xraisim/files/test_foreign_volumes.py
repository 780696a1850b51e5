"""Volumes of other programs: MRC in any axis order, plain arrays, even sizes, boxes."""

import gzip
import itertools

import mrcfile
import numpy as np
import pytest
import torch

from xraisim.core.errors import FormatError
from xraisim.core.types import Volume
from xraisim.files.volumes import read_attributes, read_volume, write_volume

SPACING = 0.25


def _values(*shape):
    return np.random.default_rng(1).random(shape or (5, 5, 5)).astype(np.float32)


def _foreign(path, stored, **header):
    """Write a map as another program does: ``stored`` [section, row, column], fields of choice."""
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(stored)
        file.voxel_size = SPACING
        for name, value in header.items():
            if isinstance(value, tuple):
                for axis, number in zip(file.header[name].dtype.names, value, strict=True):
                    file.header[name][axis] = number
            else:
                file.header[name] = value
    return path


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_axes_are_read_in_the_order_that_the_header_says(tmp_path, order):
    values = _values()
    mapc, mapr, maps = order
    stored = np.ascontiguousarray(values.transpose(maps - 1, mapr - 1, mapc - 1))
    path = _foreign(tmp_path / "v.mrc", stored, mapc=mapc, mapr=mapr, maps=maps)
    assert torch.equal(read_volume(path, kind="density").values, torch.from_numpy(values))


@pytest.mark.parametrize("order", [(0, 0, 0), (1, 1, 2), (1, 2, 4)])
def test_axes_that_are_no_permutation_are_refused(tmp_path, order):
    path = _foreign(tmp_path / "v.mrc", _values(), mapc=order[0], mapr=order[1], maps=order[2])
    with pytest.raises(FormatError, match="expected 1, 2, 3 in some order"):
        read_volume(path, kind="density")


@pytest.mark.parametrize("name", ["v.map", "v.ccp4", "v.MRC", "v"])
def test_a_map_is_known_by_its_content_whatever_its_name(tmp_path, name):
    volume = Volume(values=torch.from_numpy(_values()), spacing=SPACING, kind="intensity")
    write_volume(tmp_path / "v.mrc", volume)
    (tmp_path / "v.mrc").rename(tmp_path / name)
    assert read_volume(tmp_path / name).kind == "intensity"
    assert read_attributes(tmp_path / name) == {}


def test_ccp4_names_are_written_as_maps_and_packed_maps_are_read(tmp_path):
    volume = Volume(values=torch.from_numpy(_values()), spacing=SPACING, kind="density")
    write_volume(tmp_path / "v.map", volume)
    assert mrcfile.validate(tmp_path / "v.map")
    (tmp_path / "v.map.gz").write_bytes(gzip.compress((tmp_path / "v.map").read_bytes()))
    assert torch.equal(read_volume(tmp_path / "v.map.gz").values, volume.values)


def test_a_foreign_map_is_what_it_is_stated_to_be_and_nothing_unless_stated(tmp_path):
    path = _foreign(tmp_path / "v.mrc", _values())
    with pytest.raises(FormatError, match="--kind intensity"):
        read_volume(path)
    found = read_volume(path, kind="intensity")
    assert (found.kind, found.spacing) == ("intensity", pytest.approx(SPACING))
    assert read_volume(path, kind="intensity", spacing=0.5).spacing == 0.5
    with pytest.raises(FormatError, match="has kind 'potential'"):
        read_volume(path, kind="potential")


def test_what_a_file_of_ours_says_cannot_be_overruled(tmp_path):
    volume = Volume(values=torch.from_numpy(_values()), spacing=SPACING, kind="intensity")
    for name in ("v.h5", "v.mrc"):
        write_volume(tmp_path / name, volume)
        with pytest.raises(FormatError, match="of kind 'intensity'"):
            read_volume(tmp_path / name, kind="density")
        with pytest.raises(FormatError, match=r"spacing is 0\.25"):
            read_volume(tmp_path / name, spacing=0.3)
        assert read_volume(tmp_path / name, kind="intensity", spacing=0.25).grid == 5


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"cella": (1.25, 1.25, 1.5)}, "expected cubes"),
        ({"cellb": (90.0, 90.0, 120.0)}, "right angles"),
        ({"cella": (0.0, 0.0, 0.0)}, "does not say its spacing"),
        ({"cella": (-1.0, 1.0, 1.0)}, "has a cell"),
        ({"origin": (0.5, 0.5, 0.5)}, r"s = 0 is at voxel \(-2, -2, -2\)"),
        ({"nxstart": 1}, r"voxel \(-1, 0, 0\)"),
    ],
)
def test_headers_that_no_intensity_has_are_refused(tmp_path, header, words):
    path = _foreign(tmp_path / "v.mrc", _values(), **header)
    with pytest.raises(FormatError, match=words):
        read_volume(path, kind="intensity")


def test_an_origin_in_the_middle_is_as_good_as_none(tmp_path):
    start = {"nxstart": -2, "nystart": -2, "nzstart": -2}
    for header in (start, {"origin": (-0.5, -0.5, -0.5)}, start | {"origin": (-0.5,) * 3}):
        path = _foreign(tmp_path / "v.mrc", _values(), **header)
        assert read_volume(path, kind="intensity").grid == 5


def test_start_fields_follow_the_axes(tmp_path):
    fields = {"mapc": 3, "mapr": 2, "maps": 1, "nxstart": -2, "nystart": -2, "nzstart": -1}
    path = _foreign(tmp_path / "v.mrc", _values(), **fields)
    with pytest.raises(FormatError, match=r"voxel \(1, 2, 2\)"):
        read_volume(path, kind="intensity")


@pytest.mark.parametrize("mode", [np.int8, np.int16, np.uint16, np.float16])
def test_every_real_mode_is_read_and_complex_ones_are_refused(tmp_path, mode):
    values = (10 * _values()).astype(mode)
    found = read_volume(_foreign(tmp_path / "v.mrc", values.T.copy()), kind="density").values
    assert np.array_equal(found.numpy(), values.astype(np.float32))
    path = _foreign(tmp_path / "c.mrc", _values().astype(np.complex64))
    with pytest.raises(FormatError, match="expected real numbers"):
        read_volume(path, kind="density")


def test_an_even_intensity_loses_its_unpaired_plane_and_keeps_its_centre(tmp_path):
    values = _values(6, 6, 6)
    np.save(tmp_path / "v.npy", values)
    found = read_volume(tmp_path / "v.npy", kind="intensity", spacing=SPACING)
    assert found.grid == 5
    assert found.values[2, 2, 2] == values[3, 3, 3]
    assert np.array_equal(found.values.numpy(), values[1:, 1:, 1:])


def test_a_box_is_padded_if_a_density_and_refused_if_an_intensity(tmp_path):
    values = _values(6, 3, 4)
    path = _foreign(tmp_path / "v.mrc", values.transpose(2, 1, 0).copy())
    found = read_volume(path, kind="density").values
    assert found.shape == (7, 7, 7)
    assert found[3, 3, 3] == values[3, 1, 2]
    assert found.sum() == pytest.approx(float(values.sum()))
    with pytest.raises(FormatError, match="cut it to its shortest edge"):
        read_volume(path, kind="intensity")


def test_arrays_need_their_kind_and_spacing_and_an_archive_may_hold_them(tmp_path):
    values = _values()
    np.save(tmp_path / "v.npy", values)
    with pytest.raises(FormatError, match="--spacing"):
        read_volume(tmp_path / "v.npy", kind="intensity")
    assert read_volume(tmp_path / "v.npy", kind="density", field=10.0).spacing == 2.0
    np.savez_compressed(tmp_path / "v.npz", intensity=values, spacing=SPACING, error=values)
    found = read_volume(tmp_path / "v.npz")
    assert (found.kind, found.spacing) == ("intensity", SPACING)
    np.savez(tmp_path / "w.npz", a=values, b=values)
    with pytest.raises(FormatError, match="arrays a, b; expected one"):
        read_volume(tmp_path / "w.npz", kind="density", spacing=1.0)


@pytest.mark.parametrize("dtype", [">f4", "<f8", "<i4", "?", ">u2"])
def test_arrays_of_every_real_type_and_order_are_read(tmp_path, dtype):
    values = (10 * _values()).astype(dtype)
    np.save(tmp_path / "v.npy", np.asfortranarray(values))
    found = read_volume(tmp_path / "v.npy", kind="density", spacing=1.0).values
    assert np.array_equal(found.numpy(), values.astype(np.float32))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((5, 5, 5), np.inf), "not finite"),
        (np.full((5, 5, 5), 1e300), "not finite"),
        (np.zeros((5, 5, 5), complex), "expected real numbers"),
        (np.zeros((5, 5)), "three dimensions"),
        (np.zeros((0, 5, 5)), "three dimensions"),
        (np.zeros((1, 1, 1025), np.int8), "at most 1024"),
        (np.full((3, 3, 3), None), "Python objects"),
        (np.full((3, 3, 3), "a"), "expected real numbers"),
    ],
)
def test_arrays_that_are_no_volume_are_refused(tmp_path, values, words):
    np.save(tmp_path / "v.npy", values, allow_pickle=True)
    with pytest.raises(FormatError, match=words):
        read_volume(tmp_path / "v.npy", kind="density", spacing=1.0)


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan"), float("inf")])
def test_a_spacing_that_is_no_length_is_refused(tmp_path, spacing):
    np.save(tmp_path / "v.npy", _values())
    with pytest.raises(FormatError, match="expected a positive number"):
        read_volume(tmp_path / "v.npy", kind="density", spacing=spacing)
