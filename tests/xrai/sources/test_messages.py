import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrai.sources.messages import End, Experiment, Patterns, decode, encode
from xraisim.core.errors import FormatError
from xraisim.core.types import Photons

INFO = {
    "photon_energy_ev": 4600.0,
    "wavelength_angstrom": 2.7,
    "fluence_photons_per_um2": 1e13,
    "particle_diameter_angstrom": 100.0,
    "provenance": {"seed": np.int64(3)},
}
PHOTONS = Photons(
    offsets=np.array([0, 2, 2, 3]),
    pixel=np.array([5, 0, 3], np.int32),
    count=np.array([1, 300, 7], np.int32),
)


def experiment(**changed) -> Experiment:
    arrays = {
        "s": np.arange(18, dtype=np.float32).reshape(6, 3) / 100,
        "gain": np.ones(6, np.float32),
        "background": np.zeros(6, np.float32),
        "mask": np.array([0, 0, 1, 0, 0, 0], np.uint8),
    }
    return Experiment(**({**arrays, "shape": (2, 3), "info": INFO} | changed))


def test_an_experiment_survives():
    run, found = decode(encode(experiment(), "a"))
    assert run == "a"
    for name in ("s", "gain", "background", "mask"):
        assert np.array_equal(getattr(found, name), getattr(experiment(), name))
    assert found.shape == found.info["detector_shape"] == (2, 3)
    assert found.info["provenance"] == {"seed": 3}
    assert found.info["particle_diameter_angstrom"] == 100.0


def test_nothing_but_what_a_pattern_file_knows_is_taken():
    _, found = decode(encode(experiment(info=INFO | {"orientations": [[1, 0, 0, 0]]}), "a"))
    assert set(found.info) == {*INFO, "detector_shape"}


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(1, 2**24)), max_size=4),
        min_size=1,
        max_size=4,
    ),
    first=st.integers(0, 2**40),
)
def test_patterns_survive(rows, first):
    flat = [entry for row in rows for entry in row]
    photons = Photons(
        offsets=np.cumsum([0, *map(len, rows)]),
        pixel=np.array([pixel for pixel, _ in flat], np.int32),
        count=np.array([count for _, count in flat], np.int32),
    )
    _, found = decode(encode(Patterns(first=first, photons=photons), "a"))
    assert found.first == first
    for name in ("offsets", "pixel", "count"):
        assert np.array_equal(getattr(found.photons, name), getattr(photons, name))
        assert getattr(found.photons, name).dtype == getattr(photons, name).dtype


def test_small_numbers_take_a_byte_each():
    few = Photons(offsets=PHOTONS.offsets, pixel=PHOTONS.pixel, count=np.ones(3, np.int32))
    assert [len(frame) for frame in encode(Patterns(first=0, photons=few), "a")[1:]] == [32, 3, 3]


def test_the_end_survives():
    assert decode(encode(End(patterns=7), "a")) == ("a", End(patterns=7))


def header_changed(frames, **changed):
    return [json.dumps(json.loads(frames[0]) | changed).encode(), *frames[1:]]


PATTERNS = encode(Patterns(first=0, photons=PHOTONS), "a")
ARRAYS = json.loads(PATTERNS[0])["arrays"]


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([b"\x80\x04 not JSON"], "without a header"),
        ([b"[1]"], "without a header"),
        ([b"{}"], "without a header"),
        (header_changed(PATTERNS, version=2), "version 2; expected 'x-rai stream', version 1"),
        (header_changed(PATTERNS, format="other"), "found a message of 'other'"),
        (header_changed(PATTERNS, kind="volume"), "garbled message"),
        (header_changed(PATTERNS, first=-1), "not a number of patterns"),
        (header_changed(PATTERNS, first="0"), "not a number of patterns"),
        (header_changed(PATTERNS, arrays=ARRAYS[:2]), "the header lists 2"),
        (PATTERNS[:-1], "2 arrays came"),
        ([*PATTERNS[:-1], PATTERNS[-1][:-1]], "has shape"),
        (header_changed(PATTERNS, arrays=[["offsets", "|O8", [4]], *ARRAYS[1:]]), "is of type"),
        (header_changed(PATTERNS, arrays=[["offsets", "<i8", [-4]], *ARRAYS[1:]]), "has shape"),
        ([PATTERNS[0], np.array([0, 3, 2, 3]).tobytes(), *PATTERNS[2:]], "offsets that step back"),
        (
            [PATTERNS[0], np.array([0, 2, 2, 9]).tobytes(), *PATTERNS[2:]],
            "do not enclose",
        ),
        (encode(experiment(mask=np.ones(6)), "a"), "no usable pixel"),
        (encode(experiment(gain=np.full(6, np.nan)), "a"), "gain is nan"),
        (encode(experiment(shape=(3, 3)), "a"), "of shape"),
        (
            encode(experiment(info=INFO | {"wavelength_angstrom": 0.0}), "a"),
            "not a positive number",
        ),
        (encode(experiment(info={}), "a"), "garbled message"),
    ],
)
def test_a_garbled_message_is_refused(frames, said):
    with pytest.raises(FormatError, match=said):
        decode(frames)
