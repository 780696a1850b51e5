"""Global heaps that HDF5 would walk for ever are refused before it does; sound ones are read."""

import struct

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.files.global_heap import require_sound_heaps


@pytest.fixture
def path(tmp_path):
    """A file of rows of variable length, some of them written again, and of texts taken out."""
    path, random = tmp_path / "rows.h5", np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("rows", (60,), h5py.vlen_dtype(np.int32))
        file["texts"] = ["x" * length for length in range(1, 60)]
        for row in (*range(60), *range(0, 60, 3)):
            rows[row] = random.integers(0, 900, random.integers(0, 900)).astype(np.int32)
    with h5py.File(path, "a") as file:
        del file["texts"]
        file["rows"][7] = np.zeros(0, np.int32)
    return path


def test_what_hdf5_writes_is_sound(path):
    assert path.read_bytes().count(b"GCOL") > 1
    require_sound_heaps(path)


@pytest.mark.parametrize("length", [0, 8, 2**32, 2**64 - 16, 2**64 - 1])
def test_objects_that_do_not_fit_are_told(path, length):
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    (size,) = struct.unpack_from("<Q", content, heap + 8)
    content[heap + 16 : heap + 16 + 16] = struct.pack("<H6xQ", 0, length)
    path.write_bytes(content)
    with pytest.raises(FormatError, match=f"at byte {heap + 16:,} does not fit .* {size:,} bytes"):
        require_sound_heaps(path)


def test_a_heap_whose_header_is_damaged_is_left_to_hdf5(path):
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, content.index(b"GCOL") + 8, 2**60)
    path.write_bytes(content)
    require_sound_heaps(path)
