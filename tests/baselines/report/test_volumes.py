"""Pictures of the intensities, and where half-sets part."""

import dataclasses

import numpy as np
import pytest
import torch

from baselines.report import volumes
from baselines.report.run import read_run
from xraisim.core.fourier import radius
from xraisim.core.random import generator
from xraisim.core.types import Volume


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


def test_half_sets_part_where_they_differ(case):
    run = read_run(case.directory)
    assert volumes.half_set_resolution(run) is None
    assert volumes.half_sets(run) is None
    s = 0.6 * run.s_range[1]
    run = dataclasses.replace(run, halves=halves_that_part_at(case.volume, s))
    found = volumes.half_set_resolution(run)
    assert found.rule == "icc_half_0.143"
    assert 1 / found.angstrom == pytest.approx(s, abs=1.5 * case.volume.spacing)
    run = dataclasses.replace(run, halves=(case.volume, case.volume))
    assert volumes.half_set_resolution(run).reached_edge


def test_slices_leave_out_what_was_not_measured(case):
    run = dataclasses.replace(read_run(case.directory), s_range=(2e-3, 0.02))
    drawn = volumes.slices(run).axes[0].images[0].get_array()
    s = radius(case.volume.grid, case.volume.spacing)[:, :, case.volume.grid // 2].numpy()
    np.testing.assert_array_equal(np.ma.getmaskarray(drawn).T, (s < 2e-3) | (s > 0.02))
