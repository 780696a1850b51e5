"""Pictures of the intensities, and where half-sets part."""

import dataclasses

import numpy as np
import pytest
import torch

from xraisim.core.fourier import radius
from xraisim.core.halves import agreement
from xraisim.core.random import generator
from xraisim.core.types import Volume
from xraisim.report import volumes


def halves_that_part_at(volume: Volume, s: float) -> tuple[Volume, Volume]:
    """Return two volumes that agree within |s| and have nothing in common beyond."""
    beyond = radius(volume.grid, volume.spacing) > s
    draw = generator(4, "halves")
    return tuple(
        dataclasses.replace(
            volume,
            values=torch.where(
                beyond, torch.rand(volume.values.shape, generator=draw), volume.values
            ),
        )
        for _ in range(2)
    )


def test_half_sets_part_where_they_differ(lumps):
    s_range = (0.0, lumps.s_max_per_angstrom)
    s = 0.6 * s_range[1]
    halves = halves_that_part_at(lumps.volume, s)
    found = agreement(halves, *s_range).resolution
    assert found.rule == "icc_half_0.143"
    assert 1 / found.angstrom == pytest.approx(s, abs=1.5 * lumps.volume.spacing)
    assert volumes.half_sets(halves, s_range).axes
    same = (lumps.volume, lumps.volume)
    assert agreement(same, *s_range).resolution.reached_edge


def test_slices_leave_out_what_was_not_measured(lumps):
    figure = volumes.slices({"intensity": lumps.volume}, (2e-3, 0.02))
    drawn = figure.axes[0].images[0].get_array()
    volume = lumps.volume
    s = radius(volume.grid, volume.spacing)[:, :, volume.grid // 2].numpy()
    np.testing.assert_array_equal(np.ma.getmaskarray(drawn).T, (s < 2e-3) | (s > 0.02))
