"""Virtual data sets that declare more than any memory holds, and names that are no text."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.files.held import require_readable
from xraisim.files.poses import read_poses
from xraisim.formats import hdf5, skopi
from xraisim.formats.dragonfly_detector import read_detector


def test_a_virtual_data_set_of_endless_rows_is_refused(tmp_path: Path) -> None:
    layout = h5py.VirtualLayout(shape=(10**12, 5, 4), dtype="f4")
    layout[0] = h5py.VirtualSource("other.h5", "data", shape=(5, 4))
    with h5py.File(tmp_path / "endless.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    with h5py.File(tmp_path / "endless.h5") as file:
        for pattern in ((5, 4), (10**12, 5, 4)):
            with pytest.raises(FormatError, match="expected at most"):
                hdf5.gaps(file["data"], pattern)


def test_a_column_whose_name_is_no_text_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "poses.h5"
    with h5py.File(path, "w") as file:
        file["fluence"] = np.ones(3)
        file[b"\xff\xfe"] = np.ones(2)
    assert list(read_poses(path)) == ["fluence"]


def test_offsets_in_other_files_are_not_read_by_the_billion(tmp_path: Path) -> None:
    layout = h5py.VirtualLayout(shape=(10**12,), dtype="i8")
    layout[:5] = h5py.VirtualSource("other.h5", "data", shape=(5,))
    with h5py.File(tmp_path / "endless.h5", "w") as file:
        file.create_virtual_dataset("offsets", layout)
        file["few"] = np.arange(5)
    with h5py.File(tmp_path / "endless.h5") as file:
        require_readable(file["few"])
        with pytest.raises(FormatError, match=r"1,000,000,000,000 values in other files"):
            require_readable(file["offsets"])


def test_a_detector_at_an_endless_distance_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "detector.dat"
    path.write_text("2 1e200 1e200\n0 0 0 1 0\n1 0 0 1 0\n")
    with pytest.raises(FormatError, match=r"below 1e\+09 pixels"):
        read_detector(path)


def test_a_table_of_other_pixels_is_refused_unread(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("solid_angle", shape=(10**6, 5, 4), dtype="f4")
        file.create_group("polarization")
    with h5py.File(tmp_path / "s.h5") as file, pytest.raises(FormatError, match="for 20 pixels"):
        skopi._per_pixel(tmp_path, file, "solid_angle", 20)
    with h5py.File(tmp_path / "s.h5") as file, pytest.raises(FormatError, match="no values"):
        skopi._per_pixel(tmp_path, file, "polarization", 20)
