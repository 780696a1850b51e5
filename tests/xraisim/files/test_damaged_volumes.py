"""A damaged volume file is read right or refused with our own error, whatever the damage.

MRC data and ``.npy`` files carry no checksums: of the former the header is damaged here, and of the
latter a volume of the right shape is all that can be asked.
"""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from xraisim.core.errors import UserError
from xraisim.core.types import Volume
from xraisim.files.volumes import read_attributes, read_exposure, read_volume, write_volume

VALUES = torch.rand(7, 7, 7, generator=torch.Generator().manual_seed(3))
SPACING = 0.25
CASES = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_MRC_HEADER = 1024
_SAME = 1e-3


class _Whole(dict[str, bytes]):
    """Contents by suffix, which hypothesis shall not print."""

    def __repr__(self):
        return "whole"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of one volume in every format."""
    directory = tmp_path_factory.mktemp("whole")
    volume = Volume(values=VALUES, spacing=SPACING, kind="intensity")
    write_volume(directory / "v.h5", volume, {"particle_diameter_angstrom": 3.0}, VALUES)
    write_volume(directory / "v.mrc", volume)
    np.save(directory / "v.npy", VALUES.numpy())
    np.savez_compressed(directory / "v.npz", intensity=VALUES.numpy(), spacing=SPACING)
    return _Whole({path.suffix: path.read_bytes() for path in directory.iterdir()})


def _read(path, **stated):
    """Return the volume, or None where it is refused as it should be; nothing may be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return read_volume(path, **stated)
        except UserError:
            return None


def _is_right(volume):
    return (
        volume.kind == "intensity"
        and abs(volume.spacing / SPACING - 1) <= _SAME
        and torch.equal(volume.values, VALUES)
    )


def _flipped(content, at, bit):
    damaged = bytearray(content)
    damaged[at % len(damaged)] ^= 1 << bit
    return bytes(damaged)


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
@CASES
@given(at=st.integers(0, 2**20), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_file_with_checksums(whole, tmp_path, suffix, at, bit):
    path = tmp_path / f"v{suffix}"
    path.write_bytes(_flipped(whole[suffix], at, bit))
    found = _read(path)
    assert found is None or _is_right(found)


@CASES
@given(at=st.integers(0, 2**20), bit=st.integers(0, 7))
def test_a_flipped_bit_beside_the_volume_in_hdf5(whole, tmp_path, at, bit):
    path = tmp_path / "v.h5"
    path.write_bytes(_flipped(whole[".h5"], at, bit))
    for read, right in ((read_exposure, VALUES), (read_attributes, 3.0)):
        try:
            found = read(path)
        except UserError:
            continue
        if found is not None and read is read_exposure:
            assert torch.equal(found, right)
        elif found:
            assert found["particle_diameter_angstrom"] == right


@CASES
@given(at=st.integers(0, _MRC_HEADER - 1), value=st.integers(0, 255))
def test_a_wrong_byte_in_an_mrc_header(whole, tmp_path, at, value):
    content = bytearray(whole[".mrc"])
    content[at] = value
    path = tmp_path / "v.mrc"
    path.write_bytes(content)
    found = _read(path)
    assert found is None or _is_right(found)


@CASES
@given(
    field=st.integers(0, 63), number=st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-9, 9))
)
def test_a_wrong_number_in_an_mrc_header(whole, tmp_path, field, number):
    content = bytearray(whole[".mrc"])
    content[4 * field : 4 * field + 4] = number.to_bytes(4, "little", signed=True)
    path = tmp_path / "v.mrc"
    path.write_bytes(content)
    found = _read(path)
    assert found is None or _is_right(found)


@CASES
@given(at=st.integers(0, 200), value=st.integers(0, 255))
def test_a_wrong_byte_in_an_npy_header(whole, tmp_path, at, value):
    content = bytearray(whole[".npy"])
    content[at] = value
    path = tmp_path / "v.npy"
    path.write_bytes(content)
    found = _read(path, kind="intensity", spacing=SPACING)
    assert found is None or found.values.shape == VALUES.shape


@pytest.mark.parametrize("suffix", [".h5", ".mrc", ".npy", ".npz"])
@settings(CASES, max_examples=60)
@given(share=st.floats(0, 1), tail=st.binary(max_size=20))
def test_a_truncated_file_or_one_with_a_tail(whole, tmp_path, suffix, share, tail):
    path = tmp_path / f"v{suffix}"
    content = whole[suffix]
    damaged = content[: int(share * len(content))] + tail
    assume(len(damaged) != len(content))  # a map has no checksum over its values
    path.write_bytes(damaged)
    found = _read(path, kind="intensity", spacing=SPACING)
    assert found is None or _is_right(found)


@settings(CASES, max_examples=60)
@given(content=st.binary(max_size=2000), suffix=st.sampled_from([".h5", ".mrc", ".npy", ".npz"]))
def test_noise_behind_a_right_beginning(whole, tmp_path, content, suffix):
    path = tmp_path / f"v{suffix}"
    path.write_bytes(whole[suffix][:8] + content)
    assert _read(path, kind="intensity", spacing=SPACING) is None
