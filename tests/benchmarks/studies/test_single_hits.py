"""What is said of patterns that are no single hits."""

import h5py
import numpy as np
import pytest

from benchmarks.studies.single_hits import contaminated
from xraisim.photons.hits import BLANK, MULTIPLE, SINGLE


def test_weights_are_counted_by_kind(tmp_path):
    hits = np.array([SINGLE, SINGLE, MULTIPLE, BLANK], np.uint8)
    with h5py.File(tmp_path / "poses.h5", "w") as file:
        file["weight"] = np.array([1.0, 0.4, 0.6, 0.0], np.float32)
    found = contaminated.weight_figures(tmp_path / "poses.h5", hits)
    assert found["purity"] == pytest.approx(0.7)
    assert found["kept"] == {"blank": 0, "single": 1, "multiple": 1, "contaminant": 0}
    assert found["mean"]["single"] == pytest.approx(0.7)
    with h5py.File(tmp_path / "poses.h5", "w") as file:
        file["loglik"] = np.zeros(4)
    assert contaminated.weight_figures(tmp_path / "poses.h5", hits) is None
