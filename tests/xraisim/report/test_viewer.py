"""Volumes as the viewer gets them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xraisim.report import viewer


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**30), min_size=3, max_size=3), max_size=30))
def test_packing_loses_nothing(rows):
    columns = np.array(rows, np.int64).reshape(-1, 3)
    np.testing.assert_array_equal(viewer.unpack(viewer.pack(columns), 3), columns)


def radii(packed: dict, level: dict) -> np.ndarray:
    """Distances of the vertices from the middle of the cube, in its unit."""
    place = viewer.unpack(level["positions"], 3) / packed["steps"]
    return np.linalg.norm((2 * place - 1) * packed["halfWidth"], axis=1)


def test_a_ball_arrives_with_its_radius_in_nm(ball):
    (packed,) = json.loads(viewer.packed([viewer.density_cube(ball(40.0))]))
    assert (packed["name"], packed["unit"]) == ("density", "nm")
    level = packed["levels"][3]
    assert level["label"] == "40% of the maximum"
    assert np.median(radii(packed, level)) == pytest.approx(4.0, abs=0.15)
    corners = viewer.unpack(level["corners"], 4)
    assert corners.max() == level["vertices"] - 1


def test_an_off_centre_density_fills_the_cube(ball):
    moved = ball(20.0)
    moved.values.copy_(moved.values.roll(7, dims=0))
    (packed,) = json.loads(viewer.packed([viewer.density_cube(moved)]))
    assert packed["halfWidth"] < 4.5
    assert np.median(radii(packed, packed["levels"][3])) == pytest.approx(2.0, abs=0.2)


def test_a_large_volume_is_made_coarser_and_stays_as_large(lumps):
    s_range = (0.0, lumps.s_max_per_angstrom)
    small = viewer.intensity_cube("intensity", lumps.volume, s_range)
    assert small.unit == "1/Å"
    assert len(small.values) <= 72
    assert small.half_width >= lumps.s_max_per_angstrom
    assert [level for level, _ in small.levels] == sorted(level for level, _ in small.levels)
    large, half = viewer._cropped(np.ones((101, 101, 101)), 0.5, np.ones((101, 101, 101), bool))
    assert large.shape == (72, 72, 72)
    assert half == 0.5 * 52


def test_nothing_to_show_has_no_levels(lumps):
    lumps_of_nothing = lumps.volume.to("cpu")
    nothing = type(lumps_of_nothing)(
        values=0 * lumps_of_nothing.values, spacing=1.0, kind="intensity"
    )
    assert not viewer.intensity_cube("intensity", nothing, (0.0, 1.0)).levels
    empty = type(nothing)(values=nothing.values, spacing=1.0, kind="density")
    assert not viewer.density_cube(empty).levels
