"""The layouts byte by byte, written here without the code under test."""

import struct

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.formats import open_source, recognise
from xraisim.formats.convert import convert

from .conftest import frames_in

FRAMES = np.array([[0, 1, 5, 0, 1], [0, 0, 0, 0, 0], [9, 0, 1, 300, 0]])


def header(frames: int, pixels: int, kind: int) -> bytes:
    return struct.pack("<3i", frames, pixels, kind) + bytes(1024 - 12)


SPARSE = header(3, 5, 0) + struct.pack(
    "<15i",
    *(2, 0, 1),  # pixels with one photon, per frame
    *(1, 0, 2),  # with several
    *(1, 4, 2),  # where the ones are
    *(2, 0, 3),  # where the others are
    *(5, 9, 300),
)
INTEGERS = header(3, 5, 1) + FRAMES.astype("<i4").tobytes()
DOUBLES = header(3, 5, 2) + FRAMES.astype("<f8").tobytes()
CONTENT = {"emc": SPARSE, "emc-int": INTEGERS, "emc-double": DOUBLES}


@pytest.mark.parametrize("name", CONTENT)
def test_the_published_layout_is_read_and_written(name, tmp_path):
    path = tmp_path / "given"
    path.write_bytes(CONTENT[name])
    assert recognise(path) == "emc"
    assert (frames_in(path) == FRAMES).all()
    np.save(tmp_path / "stack.npy", FRAMES)
    convert(tmp_path / "stack.npy", tmp_path / "written.emc", target=name)
    assert (tmp_path / "written.emc").read_bytes() == CONTENT[name]


def test_a_block_from_the_middle_is_read(tmp_path):
    path = tmp_path / "given.emc"
    path.write_bytes(SPARSE)
    with open_source(path) as source:
        block = source.read(1, 3)
    assert block.offsets.tolist() == [0, 0, 3]
    assert block.pixel.tolist() == [0, 2, 3]
    assert block.count.tolist() == [9, 1, 300]


@pytest.mark.parametrize("content", CONTENT.values())
@pytest.mark.parametrize("missing", [1, 8, 20])
def test_a_truncated_file_is_refused(content, missing, tmp_path):
    path = tmp_path / "given.emc"
    path.write_bytes(content[:-missing])
    with pytest.raises(FormatError, match=r"truncated"):
        open_source(path)


def test_doubles_that_are_no_counts_are_refused(tmp_path):
    path = tmp_path / "given.emc"
    path.write_bytes(header(1, 2, 2) + struct.pack("<2d", 1.0, 0.25))
    with (
        open_source(path) as source,
        pytest.raises(FormatError, match=r"frame 0, pixel 1 is 0.25, which is not a whole number"),
    ):
        source.read(0, 1)


def test_impossible_pixels_are_refused(tmp_path):
    path = tmp_path / "given.emc"
    path.write_bytes(header(1, 2, 0) + struct.pack("<3i", 1, 0, 7))
    with (
        open_source(path) as source,
        pytest.raises(FormatError, match="pixel numbers run from 7 to 7, expected 0 to 1"),
    ):
        source.read(0, 1)


def test_a_fourth_type_is_refused(tmp_path):
    path = tmp_path / "given.emc"
    path.write_bytes(header(1, 2, 3))
    with pytest.raises(FormatError, match="type 3; expected positive numbers and type 0"):
        open_source(path)


def dragonfly_h5(path, place_ones, place_multi, count_multi):
    lists = {"place_ones": place_ones, "place_multi": place_multi, "count_multi": count_multi}
    with h5py.File(path, "w") as file:
        file["num_pix"] = [5]
        for name, rows in lists.items():
            data = file.create_dataset(name, (len(rows),), h5py.vlen_dtype(np.int32))
            for number, row in enumerate(rows):
                data[number] = row


def test_dragonfly_hdf5_is_read_under_any_name(tmp_path):
    path = tmp_path / "photons.emc"  # as make_data of dragonfly-spi 0.1.0 calls it
    dragonfly_h5(path, [[1, 4], [], [2]], [[2], [], [0, 3]], [[5], [], [9, 300]])
    assert recognise(path) == "dragonfly-h5"
    assert (frames_in(path) == FRAMES).all()


@pytest.mark.parametrize("rows", [[[1], [2]], [[], []], [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]])
def test_lists_of_equal_lengths_are_written(rows, tmp_path):
    frames = np.zeros((2, 5), int)
    for frame, row in zip(frames, rows, strict=True):
        frame[row] = 1
    np.save(tmp_path / "stack.npy", frames)
    convert(tmp_path / "stack.npy", tmp_path / "out", target="dragonfly-h5")
    assert (frames_in(tmp_path / "out") == frames).all()


def test_lists_that_do_not_agree_are_refused(tmp_path):
    path = tmp_path / "photons.h5"
    dragonfly_h5(path, [[1]], [[2, 3]], [[5]])
    with open_source(path) as source, pytest.raises(FormatError, match="place_multi and count_mul"):
        source.read(0, 1)
    with h5py.File(path, "r+") as file:
        del file["num_pix"]
    with pytest.raises(FormatError, match="expected num_pix"):
        open_source(path)
