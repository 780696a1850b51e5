"""A pattern file with anything in it: read as what it is, or refused with our own error."""

import contextlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xraisim.core.admission import LARGEST_COUNT
from xraisim.core.errors import FormatError
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL
from xraisim.files.patterns import PatternReader

from .conftest import as_photons, writer

WHOLE = [{0: 1, 5: 700}, {}, {47: 255, 3: 1}, {9: 2}]
DATASETS = [
    OFFSETS, PIXEL, COUNT, "detector/s", "detector/gain", "detector/background", "detector/mask",
    "beam/wavelength", "beam/photon_energy", "particle/diameter",
]  # fmt: skip
VALUES = [
    -1, 0, 1, 7, 48, 255, 2**16, 2**31, -(2**31), 2**32 + 5, 2**63 - 1, 1e-50, 1e30, 1e300,
    float("nan"), float("inf"), -float("inf"),
]  # fmt: skip
TYPES = ["u1", "i1", "<u2", ">i4", "<i8", "<u8", "<f4", ">f8", "S3"]


def with_value(values: np.ndarray, at: int, value: float) -> np.ndarray:
    """Return values of a type in which ``value`` fits, with it somewhere among them."""
    whole = isinstance(value, int) and values.dtype.kind in "iu"
    out = values.astype(np.int64 if whole else np.float64)
    if out.size:
        out.reshape(-1)[at % out.size] = value
    return out


def with_type(values: np.ndarray, name: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return values.astype(name)


DAMAGE = st.one_of(
    st.tuples(st.just(with_value), st.integers(0, 200), st.sampled_from(VALUES)),
    st.tuples(st.just(with_type), st.sampled_from(TYPES)),
    st.tuples(st.just(lambda values, n: values[: len(values) - n]), st.integers(0, 3)),
    st.tuples(st.just(lambda values, n: np.concatenate([values] * n)), st.integers(2, 3)),
    st.tuples(st.just(lambda values, axis: np.expand_dims(values, axis)), st.integers(0, 1)),
    st.tuples(st.just(lambda values, _: values.reshape(-1)[:0]), st.none()),
    st.tuples(st.just(lambda values, _: values.reshape(-1)[:1].reshape(())), st.none()),
    st.tuples(st.just(lambda values, _: values[..., :2]), st.none()),
    st.tuples(st.just(lambda *_: None), st.none()),
)


def damage(path: Path, name: str, change, *arguments) -> None:
    """Put something else in the place of a dataset; a group in that of one that is None."""
    with h5py.File(path, "r+") as file:
        if isinstance(file[name], h5py.Group):  # damaged before
            return
        values = np.asarray(file[name][()])
        try:
            changed = change(values, *arguments)
        except (ValueError, IndexError, TypeError):  # a scalar has no rows
            return
        del file[name]
        if changed is None:
            file.create_group(name)
        else:
            file[name] = changed


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "patterns.h5"
    with writer(path) as file:
        file.append(as_photons(WHOLE))
    return path


def check_all(path: Path) -> None:
    with PatternReader(path) as reader:
        pixels = reader.pixels
        assert bool(pixels.s.isfinite().all())
        assert bool(((pixels.gain > 0) & pixels.gain.isfinite()).all())
        assert bool(((pixels.background >= 0) & pixels.background.isfinite()).all())
        for stop in range(reader.n_patterns + 1):
            photons = reader.read(0, stop)
            assert len(photons) == stop
            assert (np.diff(photons.offsets) >= 0).all()
            assert photons.offsets[-1] == len(photons.pixel) == len(photons.count)
            for name, values, top in (
                ("pixel", photons.pixel, len(pixels) - 1),
                ("count", photons.count, LARGEST_COUNT),
            ):
                assert values.dtype == np.int32, name
                assert 0 <= values.min(initial=0) <= values.max(initial=0) <= top, name
            photons.dense(len(pixels))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.tuples(st.sampled_from(DATASETS), DAMAGE), min_size=1, max_size=2))
def test_whatever_a_file_holds_is_checked_at_the_door(whole, tmp_path, changes):
    path = tmp_path / "patterns.h5"
    path.write_bytes(whole.read_bytes())
    for name, (change, *arguments) in changes:
        damage(path, name, change, *arguments)
    with contextlib.suppress(FormatError):
        check_all(path)


@pytest.mark.parametrize(
    ("name", "at", "value", "said"),
    [
        (PIXEL, 1, -1, r"impossible entries: pixel -1; expected 0 … 47"),
        (PIXEL, 1, 48, r"impossible entries: pixel 48"),
        (PIXEL, 1, 2**32 + 5, r"impossible entries: pixel 4294967301"),
        (COUNT, 2, -1, r"impossible entries: count -1; expected 0 …"),
        (COUNT, 2, 2**31, r"impossible entries: count 2147483648"),
        (OFFSETS, 1, -4, "impossible entries"),
        ("detector/gain", 40, -1.0, r"gain is -1.0 in usable pixel 40 \(1 such\)"),
        ("detector/background", 40, -2.0, "background is -2.0 in usable pixel 40"),
        ("detector/s", 120, 1e3, "beyond 2/λ"),
        ("detector/s", 120, 1e300, r"s is .*inf.* in usable pixel 40"),
    ],
)
def test_numbers_out_of_bounds_are_named(whole, tmp_path, name, at, value, said):
    path = tmp_path / "patterns.h5"
    path.write_bytes(whole.read_bytes())
    damage(path, name, with_value, at, value)
    with pytest.raises(FormatError, match=said):
        check_all(path)


def test_two_columns_of_s_are_refused(whole, tmp_path):
    path = tmp_path / "patterns.h5"
    path.write_bytes(whole.read_bytes())
    damage(path, "detector/s", lambda values: values[:, :2])
    with pytest.raises(FormatError, match=r"detector/s of shape \(48, 2\)"):
        PatternReader(path)


def test_masked_pixels_may_hold_anything(whole, tmp_path):
    path = tmp_path / "patterns.h5"
    path.write_bytes(whole.read_bytes())
    with h5py.File(path, "r+") as file:
        masked = np.flatnonzero(file["detector/mask"])
        file["detector/gain"][masked] = np.nan
    check_all(path)
