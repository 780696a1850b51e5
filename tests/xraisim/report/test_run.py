"""Files of runs, while they are written and when they are damaged."""

import numpy as np
import pytest
import torch

from xraisim.core.errors import FormatError
from xraisim.core.types import Volume
from xraisim.files.volumes import write_volume
from xraisim.report import run as run_files


def test_what_is_not_there_is_empty(tmp_path):
    assert run_files.read_halves(tmp_path) is None
    np.testing.assert_array_equal(
        run_files.figure_of([{"a": 1}, {}, {"a": None}], "a"), [1, *[np.nan] * 2]
    )


def test_the_range_is_what_is_stated_within_the_volume(tmp_path, lumps):
    path, volume = tmp_path / "intensity.h5", lumps.volume
    reach = (volume.grid // 2 - 1) * volume.spacing
    write_volume(path, volume)
    assert run_files.read_s_range(path, [volume]) == (0.0, reach)
    write_volume(path, volume, {"s_min_per_angstrom": 0.002, "s_max_per_angstrom": 0.03})
    assert run_files.read_s_range(path, [volume]) == (0.002, 0.03)
    write_volume(path, volume, {"s_max_per_angstrom": 2 * reach})
    assert run_files.read_s_range(path, [volume]) == (0.0, reach)


def test_a_density_is_no_intensity(tmp_path):
    write_volume(
        tmp_path / "d.mrc", Volume(values=torch.ones(3, 3, 3), spacing=1.0, kind="density")
    )
    with pytest.raises(FormatError, match="holds a density; expected an intensity"):
        run_files.read_intensity(tmp_path / "d.mrc")
