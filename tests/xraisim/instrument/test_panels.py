"""Panels: positions and solid angles against closed forms."""

import numpy as np
import pytest

from xraisim.core.errors import ConfigError
from xraisim.instrument.panels import Layout, Panel, solid_angles


def plain(rows=4, columns=6, pixel=0.5, corner=(-1.0, 2.0, 0.0), name="a") -> Panel:
    return Panel(
        name=name,
        rows=rows,
        columns=columns,
        corner_mm=corner,
        fs_mm=(pixel, 0.0, 0.0),
        ss_mm=(0.0, pixel, 0.0),
    )


def layout(*panels: Panel, distance_mm=50.0) -> Layout:
    pixels = sum(len(panel) for panel in panels)
    return Layout(panels=panels, distance_mm=distance_mm, bad=np.zeros(pixels, bool))


def test_a_pixel_centre_is_half_a_step_from_the_corner_both_ways():
    position = plain().positions_mm(50.0).reshape(4, 6, 3)
    np.testing.assert_allclose(position[0, 0], [-0.75, 2.25, 50.0])
    np.testing.assert_allclose(position[3, 5], [-1 + 5.5 * 0.5, 2 + 3.5 * 0.5, 50.0])


def test_a_turned_and_tilted_panel_lies_where_its_vectors_say():
    rng = np.random.default_rng(1)
    corner, fs, ss = rng.normal(size=(3, 3))
    panel = Panel(
        name="a", rows=5, columns=3, corner_mm=tuple(corner), fs_mm=tuple(fs), ss_mm=tuple(ss)
    )
    position = panel.positions_mm(7.0).reshape(5, 3, 3)
    for row, column in ((0, 0), (4, 2), (2, 1)):
        expected = corner + (column + 0.5) * fs + (row + 0.5) * ss + [0, 0, 7.0]
        np.testing.assert_allclose(position[row, column], expected, atol=1e-12)


@pytest.mark.parametrize("tilt_degrees", [0, 30, 60])
def test_a_tilted_pixel_loses_the_cosine_of_its_tilt(tilt_degrees):
    tilt = np.radians(tilt_degrees)
    fs = np.array([np.cos(tilt), 0, np.sin(tilt)]) * 0.1
    ss = np.array([0, 0.1, 0])
    corner = -0.5 * fs - 0.5 * ss
    panel = Panel(
        name="a", rows=1, columns=1, corner_mm=tuple(corner), fs_mm=tuple(fs), ss_mm=tuple(ss)
    )
    position = panel.positions_mm(200.0)
    expected = 0.1**2 * np.cos(tilt) / 200.0**2
    assert solid_angles(position, panel.area_mm2)[0] == pytest.approx(expected, rel=1e-12)


def test_a_closed_box_of_panels_covers_the_whole_sphere():
    side, pixels = 100.0, 64
    step = side / pixels
    panels = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            unit = np.eye(3)
            fs, ss = step * unit[(axis + 1) % 3], step * unit[(axis + 2) % 3]
            corner = sign * side / 2 * unit[axis] - 0.5 * pixels * (fs + ss) - [0, 0, 1.0]
            panels.append(
                Panel(
                    name=f"{axis}{sign}",
                    rows=pixels,
                    columns=pixels,
                    corner_mm=tuple(corner),
                    fs_mm=tuple(fs),
                    ss_mm=tuple(ss),
                )
            )
    box = layout(*panels, distance_mm=1.0)
    total = box.solid_angles(box.positions_mm()).sum()
    assert total == pytest.approx(4 * np.pi, rel=1e-4)


def test_binned_pixels_lie_at_the_mean_of_theirs_and_drop_the_rest():
    panel = plain(rows=7, columns=9)
    whole = panel.positions_mm(50.0).reshape(7, 9, 3)[:6, :9]
    mean = whole.reshape(2, 3, 3, 3, 3).mean(axis=(1, 3))
    binned = panel.binned(3)
    assert (binned.rows, binned.columns) == (2, 3)
    np.testing.assert_allclose(binned.positions_mm(50.0), mean.reshape(-1, 3), atol=1e-12)
    np.testing.assert_allclose(binned.area_mm2, 9 * panel.area_mm2)


def test_a_binned_mask_has_every_pixel_that_one_of_its_pixels_has():
    both = layout(plain(rows=4, columns=4), plain(rows=2, columns=4))
    mask = np.zeros(24, bool)
    mask[[1, 15, 16 + 6]] = True  # panel a: (0, 1) and (3, 3); panel b: (1, 2)
    np.testing.assert_array_equal(both.bin_mask(mask, 2), [True, False, False, True, False, True])


def test_panels_are_stacked_along_the_rows():
    both = layout(plain(rows=4, columns=6), plain(rows=2, columns=6, name="b"))
    assert both.shape == (6, 6)
    np.testing.assert_array_equal(both.panel, [0] * 24 + [1] * 12)
    assert both.panel.dtype == np.int32


def test_panels_of_different_width_make_one_long_row():
    assert layout(plain(columns=6), plain(columns=5)).shape == (1, 44)


def test_the_largest_step_is_within_panels_not_across_gaps():
    far = plain(corner=(1000.0, 0.0, 0.0), name="b")
    both = layout(plain(), far)
    assert both.largest_step(both.positions_mm()) == pytest.approx(0.5)
    assert layout(plain(rows=1, columns=1)).largest_step(np.zeros((1, 3))) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "panel 'a': rows is 0; expected 1"),
        ({"corner_mm": (0.0, 1.0)}, r"corner_mm of panel 'a' is \(0.0, 1.0\); expected x, y, z"),
        ({"fs_mm": (np.nan, 0.0, 0.0)}, "panel 'a': fs_mm is nan; expected a finite number"),
        ({"ss_mm": (2.0, 0.0, 0.0)}, "have no area"),
    ],
)
def test_impossible_panels_are_refused(change, message):
    usual = {"name": "a", "rows": 4, "columns": 6, "corner_mm": (0.0, 0.0, 0.0)}
    usual |= {"fs_mm": (1.0, 0.0, 0.0), "ss_mm": (0.0, 1.0, 0.0)}
    with pytest.raises(ConfigError, match=message):
        Panel(**{**usual, **change})


def test_binning_away_a_panel_is_refused():
    with pytest.raises(ConfigError, match="panel 'a': rows is 0"):
        plain().binned(7)
