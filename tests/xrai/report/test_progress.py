"""Curves over rounds."""

import dataclasses

import numpy as np

from xrai.report import progress
from xrai.report.run import read_run


def test_every_known_figure_has_its_panel(rounds_run):
    figure = progress.progress(read_run(rounds_run))
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
    many = dataclasses.replace(run, events=run.events * 5)
    axes = progress.half_set_curves(many).axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 9
    assert curves[-1].get_color() == "black"
    assert axes.get_ylabel() == "icc_half between the half-sets"


def test_what_was_not_told_is_not_drawn(begun_run, old_run):
    assert progress.half_set_curves(read_run(old_run)) is None
    assert progress.seconds(read_run(begun_run)) is None
    assert progress.starts(read_run(begun_run)).axes
