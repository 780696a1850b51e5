"""Layouts of real detectors: sizes, gaps and apertures."""

import numpy as np
import pytest

from xraisim.core.errors import ConfigError
from xraisim.instrument.detector import Detector, read_layout
from xraisim.instrument.layouts import LAYOUTS

PIXELS = {
    "pnccd": ((1024, 1024), 2, 0.075),
    "cspad": ((32 * 185, 388), 32, 0.10992),
    "epix10k2m": ((16 * 352, 384), 16, 0.1),
    "agipd1m": ((16 * 512, 128), 128, 0.2),
    "jungfrau4m": ((8 * 512, 1024), 8, 0.075),
}
APERTURES_MM = {"pnccd": 4, "cspad": 6, "epix10k2m": 8, "agipd1m": 7, "jungfrau4m": 11}


def test_every_layout_is_tested():
    assert set(PIXELS) == set(APERTURES_MM) == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_panels_have_their_published_size_and_number(name):
    layout = read_layout(Detector(layout=name))
    shape, panels, pixel = PIXELS[name]
    assert (layout.shape, len(layout.panels)) == (shape, panels)
    assert len(layout.bad) <= 4.2e6
    for panel in layout.panels:
        np.testing.assert_allclose(np.linalg.norm([panel.fs_mm, panel.ss_mm], axis=1), pixel)
        assert np.dot(panel.fs_mm, panel.ss_mm) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_panel_lies_on_another(name):
    panels = read_layout(Detector(layout=name)).panels
    near = np.array([panel.corner_mm[:2] for panel in panels])
    far = near + [
        np.array(p.fs_mm[:2]) * p.columns + np.array(p.ss_mm[:2]) * p.rows for p in panels
    ]
    low, high = np.minimum(near, far), np.maximum(near, far)  # all are along x and y
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    overlap = (shared > 1e-9).all(axis=-1)
    np.testing.assert_array_equal(overlap, np.eye(len(panels), dtype=bool))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_beam_passes_through_an_aperture(name):
    position = read_layout(Detector(layout=name)).positions_mm()
    radius = np.hypot(position[:, 0], position[:, 1]).min()
    assert 0.8 * APERTURES_MM[name] / 2 < radius < 1.25 * APERTURES_MM[name] / 2


@pytest.mark.parametrize("name", ["cspad", "epix10k2m"])
def test_quadrants_are_turned_by_a_right_angle(name):
    layout = read_layout(Detector(layout=name))
    quadrants = layout.positions_mm().reshape(4, -1, 3)
    x, y = quadrants[0, :, 0], quadrants[0, :, 1]
    for turned in quadrants[1:]:
        x, y = -y, x
        np.testing.assert_allclose(turned[:, 0], x, atol=1e-9)
        np.testing.assert_allclose(turned[:, 1], y, atol=1e-9)


def test_cspad_agrees_with_a_refined_geometry():
    # corner_x, corner_y in pixels of sensors of quadrants 0 and 1 at CXI (CXIDB, lysozyme)
    refined = {
        "q0s0": (425.3, -10.1),
        "q0s1": (211.3, -10.9),
        "q0s2": (845.3, 391.2),
        "q0s3": (846.2, 177.6),
        "q0s4": (449.0, 812.3),
        "q0s6": (419.4, 792.3),
        "q1s0": (12.3, 422.4),
        "q1s7": (-575.6, 416.3),
    }
    panels = {panel.name: panel for panel in read_layout(Detector(layout="cspad")).panels}
    for name, corner in refined.items():
        ours = np.array(panels[name].corner_mm[:2]) / 0.10992
        np.testing.assert_allclose(ours, corner, atol=8)


def test_agipd_modules_are_512_pixels_long_with_chip_gaps():
    panels = read_layout(Detector(layout="agipd1m")).panels
    first, last = panels[0], panels[7]
    assert (first.name, last.name) == ("m0a0", "m0a7")
    np.testing.assert_allclose(first.corner_mm, [-525 * 0.2, 625 * 0.2, 0])
    np.testing.assert_allclose(last.corner_mm, [(-525 + 7 * 66) * 0.2, 625 * 0.2, 0])
    np.testing.assert_allclose(panels[8].corner_mm, [-525 * 0.2, (625 - 157) * 0.2, 0])


def test_an_unknown_layout_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'agipd' *; did you mean agipd1m\?"):
        Detector(layout="agipd")
