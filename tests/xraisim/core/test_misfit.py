"""Misfits: the fused loop against plain torch, N(0, 1) on draws of the model, large elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from xraisim.core import rotations, so3
from xraisim.core.misfit import goodness, goodness_reference
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


def test_fast_goodness_equals_reference(experiment):
    arguments = (experiment.volume, experiment.pixels, experiment.photons, experiment.poses)
    fast, plain = vars(goodness(*arguments)), vars(goodness_reference(*arguments))
    for name, values in fast.items():
        assert torch.allclose(values, plain[name], rtol=1e-3, atol=1e-3), name


def test_draws_of_the_model_have_standard_misfits(experiment, make_sparse):
    photons, poses = drawn(experiment, make_sparse, 6000 // len(experiment.poses))
    found = goodness(experiment.volume, experiment.pixels, photons, poses)
    assert abs(float(found.misfit.mean())) < 5 / len(poses) ** 0.5
    # Fitting the fluence takes spread where a few bright pixels hold most photons, as here.
    assert 0.5 < float(found.misfit.std()) < 1.05
    assert abs(float(found.unexplained.median())) < 0.25


def test_wrong_poses_and_blurred_volumes_misfit(make_experiment):
    experiment = make_experiment(60, brightness=50.0)
    photons, poses = experiment.photons, experiment.poses
    turned = rotations.multiply(poses, so3.haar(len(poses), generator(1, "wrong")))
    smooth = torch.nn.functional.avg_pool3d(experiment.volume.values[None], 5, 1, 2)[0]
    blurred = replace(experiment.volume, values=smooth)
    right = goodness(experiment.volume, experiment.pixels, photons, poses)
    for volume, at in ((experiment.volume, turned), (blurred, poses)):
        wrong = goodness(volume, experiment.pixels, photons, at)
        assert float(wrong.misfit.median()) > float(right.misfit.median()) + 3
        assert float(wrong.unexplained.median()) > float(right.unexplained.median()) + 0.05


def test_the_unexplained_share_hardly_depends_on_brightness(make_experiment):
    shares = []
    for brightness in (10.0, 100.0):
        experiment = make_experiment(60, brightness=brightness)
        pixels, poses = experiment.pixels, experiment.poses
        turned = rotations.multiply(poses, so3.haar(len(poses), generator(1, "wrong")))
        found = goodness(experiment.volume, pixels, experiment.photons, turned)
        shares.append(float(found.unexplained.median()))
    assert shares[0] == pytest.approx(shares[1], rel=0.5)


def test_no_photons_no_misfit(experiment):
    empty = Photons(
        offsets=np.zeros(2, experiment.photons.offsets.dtype),
        pixel=experiment.photons.pixel[:0],
        count=experiment.photons.count[:0],
    )
    dim = replace(experiment.pixels, background=experiment.pixels.background + 0.1)
    for pixels in (experiment.pixels, dim):
        for form in (goodness, goodness_reference):
            found = form(experiment.volume, pixels, empty, experiment.poses[:1])
            assert all(float(value) == 0 for value in vars(found).values())
