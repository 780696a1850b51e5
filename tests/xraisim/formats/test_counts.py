import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.formats import counts

FRAMES = npst.arrays(
    np.int32, npst.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 999)
)


@settings(deadline=None, max_examples=60)
@given(FRAMES, st.sampled_from([np.int32, np.uint16, np.int64, np.float32, np.float64]))
def test_dense_frames_survive_being_sparse(frames, dtype):
    photons = counts.sparse(frames.astype(dtype), 0, "here")
    assert (counts.dense(photons, frames.shape[1]) == frames).all()
    assert photons.count.min(initial=1) >= 1
    assert (np.diff(photons.pixel)[np.diff(photons.rows()) == 0] > 0).all()


@settings(deadline=None, max_examples=60)
@given(FRAMES, st.integers(1, 5))
def test_repeated_entries_are_added(frames, copies):
    once = counts.sparse(frames, 0, "here")
    repeated = Photons(
        offsets=once.offsets * copies,
        pixel=np.repeat(once.pixel, copies),
        count=np.repeat(once.count, copies),
    )
    merged = repeated.summed()
    assert (merged.offsets == once.offsets).all()
    assert (merged.pixel == once.pixel).all()
    assert (merged.count == once.count * copies).all()
    assert (counts.dense(repeated, frames.shape[1]) == frames * copies).all()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.5, "which is not a whole number"),
        (np.nan, "which is not a whole number"),
        (np.inf, "which is more than an int32 holds"),
        (-1.0, "which is negative"),
        (2.0**31, "more than an int32 holds"),
    ],
)
def test_what_is_no_count_is_refused_by_frame_and_pixel(value, reason):
    frames = np.zeros((3, 2, 4))
    frames[1, 1, 3] = value
    frames[2, 0, 0] = -5
    with pytest.raises(FormatError, match=f"here: frame 101, pixel 7 is .*{reason}"):
        counts.sparse(frames, 100, "here")


def test_negative_integers_are_refused():
    with pytest.raises(FormatError, match="frame 0, pixel 1 is -2, which is negative"):
        counts.sparse(np.array([[1, -2]], np.int16), 0, "here")


def test_masked_pixels_may_hold_anything():
    frames = np.array([[1.0, np.nan, 3.0, -4.0]])
    photons = counts.sparse(frames, 0, "here", np.array([False, True, True, True]))
    assert counts.dense(photons, 4).tolist() == [[1, 0, 3, 0]]


def test_complex_amplitudes_are_refused():
    with pytest.raises(FormatError, match="complex64 are not photon counts"):
        counts.sparse(np.ones((1, 2), np.complex64), 0, "here")
