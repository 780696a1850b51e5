"""Figures inside a page."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from matplotlib.figure import Figure

from xraisim.html_page import inline


def drawn() -> Figure:
    figure = Figure(figsize=(3, 2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([1, 2, 3], [3, 1, 2], color="black")
    left.set(title="a < b & c", xlabel="s (1/Å)")
    right.imshow(np.eye(4))
    return figure


def test_a_figure_is_well_formed_and_takes_the_colour_of_the_page():
    svg = inline(drawn(), "first")
    ElementTree.fromstring(svg)
    assert "stroke: currentColor" in svg
    assert "#000000" not in svg
    assert "#ffffff" not in svg, "no white background on a dark page"
    assert "a &lt; b &amp; c" in svg
    assert "DejaVu" not in svg


def test_two_figures_share_no_ids_and_find_their_own():
    first, second = (inline(drawn(), name) for name in ("first", "second"))
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = re.findall(r'(?:url\(#|href="#)([^)"]+)', first)
    assert set(used) == ids[0]


def test_a_figure_is_the_same_each_time():
    assert inline(drawn(), "first") == inline(drawn(), "first")
