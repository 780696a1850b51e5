"""Misfits: the fused loop against plain torch, N(0, 1) on draws of the model, large on others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from xraisim.core import rotations, so3
from xraisim.core.misfit import misfit, misfit_reference
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Photons


@pytest.fixture(params=["clean", "noisy"])
def experiment(request):
    return request.getfixturevalue(request.param)


def drawn(experiment, make_sparse, copies, seed=0):
    """Return ``copies`` new patterns of each pose, drawn from the volume itself."""
    volume, pixels = experiment.volume, experiment.pixels
    poses = experiment.poses.repeat(copies, 1)
    rate = slice_volume(volume.values, rotations.to_matrix(poses), pixels.s, volume.spacing)
    counts = torch.poisson(rate * pixels.gain + pixels.background, generator=generator(seed, "k"))
    return make_sparse(counts), poses


def test_fast_misfit_equals_reference(experiment):
    arguments = (experiment.volume, experiment.pixels, experiment.photons, experiment.poses)
    for fast, plain in zip(misfit(*arguments), misfit_reference(*arguments), strict=True):
        assert torch.allclose(fast, plain, rtol=1e-4, atol=1e-3)


def test_draws_of_the_model_have_standard_misfits(experiment, make_sparse):
    photons, poses = drawn(experiment, make_sparse, 2000 // len(experiment.poses))
    found, _ = misfit(experiment.volume, experiment.pixels, photons, poses)
    # The fluence is found in a few rounds where there is background: a shift of a tenth is left.
    assert abs(float(found.mean())) < 0.2
    assert 0.9 < float(found.std()) < 1.1


def test_wrong_poses_misfit(make_experiment, make_sparse):
    experiment = make_experiment(60, brightness=50.0)
    photons, poses = drawn(experiment, make_sparse, 1)
    turned = rotations.multiply(poses, so3.haar(len(poses), generator(1, "wrong")))
    right, _ = misfit(experiment.volume, experiment.pixels, photons, poses)
    wrong, _ = misfit(experiment.volume, experiment.pixels, photons, turned)
    assert float(wrong.median()) > float(right.median()) + 1.5


def test_no_photons_no_misfit(experiment):
    empty = Photons(
        offsets=np.zeros(2, experiment.photons.offsets.dtype),
        pixel=experiment.photons.pixel[:0],
        count=experiment.photons.count[:0],
    )
    found, _ = misfit(experiment.volume, experiment.pixels, empty, experiment.poses[:1])
    assert float(found) == 0
    dim = replace(experiment.pixels, background=experiment.pixels.background + 0.1)
    assert float(misfit(experiment.volume, dim, empty, experiment.poses[:1])[0]) == 0
