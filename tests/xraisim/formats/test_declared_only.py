"""Virtual data sets that declare more than any memory holds, and names that are no text."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.formats import hdf5
from xraisim.report_figures.run_files import read_columns


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
    assert list(read_columns(path)) == ["fluence"]
