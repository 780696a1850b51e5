"""What a dataset declares against what its file holds; files whose writer left them damaged."""

import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.files.growing import open_growing
from xraisim.files.held import read_whole, require_held


@pytest.fixture
def file(tmp_path: Path):
    with h5py.File(tmp_path / "x.h5", "w") as opened:
        yield opened


@pytest.mark.parametrize("packed", [{}, {"compression": "gzip"}, {"shuffle": True}])
def test_a_dataset_that_was_never_written_is_refused(file: h5py.File, packed: dict) -> None:
    data = file.create_dataset("a", (10**12, 3), "f4", chunks=(64, 3), **packed)
    with pytest.raises(FormatError, match=r"/a declares 1,000,000,000,000 × 3 values.* 0 bytes"):
        read_whole(data)


def test_a_chunk_that_was_never_written_is_refused(file: h5py.File) -> None:
    data = file.create_dataset("a", (4,), "f4", chunks=(2**28,), maxshape=(None,))
    with pytest.raises(FormatError, match="declares"):
        require_held(data)


def test_values_in_other_files_are_not_believed(file: h5py.File) -> None:
    for name, length in (("few", 3), ("many", 10**12)):
        layout = h5py.VirtualLayout((length,), "f8")
        layout[:] = h5py.VirtualSource("missing.h5", "x", (length,), "f8")
        file.create_virtual_dataset(name, layout)
    assert read_whole(file["few"]).tolist() == [0, 0, 0]
    with pytest.raises(FormatError, match="/many declares 1,000,000,000,000 values in other"):
        read_whole(file["many"])


def test_the_most_that_deflate_can_pack_is_read(file: h5py.File, monkeypatch) -> None:
    monkeypatch.setattr("xraisim.files.held._ALWAYS_BYTES", 0)
    zeros = np.zeros(2**20, np.uint8)
    packed = file.create_dataset("a", data=zeros, compression="gzip", compression_opts=9)
    assert (read_whole(packed) == zeros).all()
    plain = file.create_dataset("b", data=zeros)
    assert (read_whole(plain) == zeros).all()
    assert read_whole(file.create_dataset("c", data=1.0)) == 1


def test_a_group_is_no_array(file: h5py.File) -> None:
    with pytest.raises(FormatError, match="found the group /a; expected an array"):
        read_whole(file.create_group("a"))


def test_damaged_metadata_of_a_growing_file_are_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x.h5.partial"
    with h5py.File(path, "w", libver="latest") as file:
        file["a"] = np.arange(3)
    data = bytearray(path.read_bytes())
    data[data.index(b"OHDR") + 20] ^= 1
    path.write_bytes(data)
    began = time.monotonic()
    with pytest.raises((OSError, RuntimeError), match="checksum"):
        list(open_growing(path))
    assert time.monotonic() - began < 20, "HDF5's own number of attempts takes years"
