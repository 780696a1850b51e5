import numpy as np
import pytest
from numba import njit

from xraisim.core.kernels.philox import philox4x32


@njit
def _philox(counter, key):
    out = np.empty(4, np.uint32)
    words = philox4x32(counter[0], counter[1], counter[2], counter[3], key[0], key[1])
    for lane in range(4):
        out[lane] = words[lane]
    return out


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, expected):
    """The known-answer vectors of the Random123 distribution."""
    found = _philox(np.array(counter, np.uint32), np.array(key, np.uint32))
    assert found.tolist() == expected
