"""Some patterns of a file as a file of their own."""

import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.files.patterns import PatternReader
from xraisim.formats.subset import write_subset


def test_patterns_keep_their_photons_and_detector(patterns, tmp_path):
    out = tmp_path / "some.h5"
    with PatternReader(patterns) as whole:
        numbers = np.arange(1, whole.n_patterns, 2)
        assert write_subset(patterns, numbers, out) == len(numbers)
        with PatternReader(out) as part:
            found, expected = part.read_raw(0, len(numbers)), whole.read_raw(0, whole.n_patterns)
            expected = expected.take(numbers)
            assert np.array_equal(found.offsets, expected.offsets)
            assert np.array_equal(found.pixel, expected.pixel)
            assert np.array_equal(found.count, expected.count)
            assert part.pixels.index.tolist() == whole.pixels.index.tolist()
            assert np.allclose(part.pixels.gain, whole.pixels.gain, rtol=1e-6)
            assert part.info["provenance"]["subset_from"] == whole.n_patterns


@pytest.mark.parametrize("numbers", [[], [3, 2], [0, 0], [-1, 2], [0, 10**6]])
def test_numbers_that_name_no_patterns_are_refused(patterns, tmp_path, numbers):
    with pytest.raises(FormatError, match="asked for"):
        write_subset(patterns, np.array(numbers, np.int64), tmp_path / "some.h5")
    assert not list(tmp_path.glob("some*"))


def test_a_file_is_not_overwritten_by_itself(patterns):
    with pytest.raises(FormatError, match="same file"):
        write_subset(patterns, np.array([0]), patterns)
