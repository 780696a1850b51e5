"""Curves over rounds."""

import numpy as np

from xrai import panels
from xraisim.report.panels import seconds
from xraisim.report.run import read_run
from xraisim.report.volumes import half_set_curves


def test_every_known_figure_has_its_panel(rounds_run):
    figure = panels.curves(panels.rounds_of(read_run(rounds_run)))
    labels = {axes.get_ylabel(): axes for axes in figure.axes if axes.get_ylabel()}
    assert list(labels) == [
        "log-likelihood\nper pattern (nats)", "resolution d (Å)", "angle (degrees)", "misfit",
        "share of patterns", "patterns per second", "time (s)",
    ]  # fmt: skip
    lines = labels["resolution d (Å)"].lines
    limit, measured = (line for line in lines if len(line.get_xdata()) > 2)
    np.testing.assert_array_equal(limit.get_xdata(), 400 * np.arange(1, 7))
    np.testing.assert_array_equal(measured.get_xdata(), 400 * np.arange(2, 7))
    np.testing.assert_allclose(measured.get_ydata() / limit.get_ydata()[1:], 1.05)
    kinds = [text.get_text().strip() for text in labels["misfit"].texts]
    assert kinds == ["online", "final"]


def test_of_many_rounds_the_last_curve_is_drawn_in_black(rounds_run):
    run = read_run(rounds_run)
    axes = half_set_curves(run.events * 5).axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 9
    assert curves[-1].get_color() == "black"
    assert axes.get_ylabel() == "icc_half between the half-sets"


def test_what_was_not_told_is_not_drawn(begun_run, old_run):
    assert half_set_curves(read_run(old_run).events) is None
    assert seconds(read_run(begun_run)) is None
    assert panels.starts(read_run(begun_run)).figure.axes
