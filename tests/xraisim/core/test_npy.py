import io
import tracemalloc

import numpy as np
import pytest

from xraisim.core import npy
from xraisim.core.streams import read_at_most

ARRAY = np.arange(24, dtype=">i2").reshape(2, 3, 4)


def _stored(array, version=(1, 0)):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("array", [ARRAY, np.asfortranarray(ARRAY), np.array(3.5), ARRAY[:0]])
def test_arrays_are_read_as_numpy_reads_them(array, version, tmp_path):
    (tmp_path / "a.npy").write_bytes(_stored(array, version))
    found = npy.load(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_stored(ARRAY)[:-1], "48 bytes of data are declared, 47 are there"),
        (_stored(ARRAY) + b"x", "more are there"),
        (_stored(ARRAY).replace(b"(2, 3, 4)", b"(2, 9**9)"), "."),
        (_stored(ARRAY).replace(b"(2, 3, 4), }    ", b"(2, 300000000), }"), "declared"),
        (_stored(ARRAY, (2, 0))[:8] + b"\xff\xff\xff\xfe" + b"x" * 99, "a header of 4,278,190,079"),
        (_stored(np.array([None])), "Python objects"),
        (_stored(ARRAY, (3, 0)), "expected 1.0 or 2.0"),
        (b"", "."),
    ],
)
def test_what_is_only_declared_takes_no_memory(data, message, tmp_path):
    (tmp_path / "a.npy").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            npy.load(tmp_path / "a.npy")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_stream_is_read_to_its_end():
    data = bytes(3 * 2**20 + 5)
    assert read_at_most(io.BytesIO(data), 2**40) == data
    assert read_at_most(io.BytesIO(data), 2**20 + 1) == data[: 2**20 + 1]
    assert read_at_most(io.BytesIO(data), 0) == b""
