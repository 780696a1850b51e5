"""A CPU can run what a GPU would: the same calls, torch's forms."""

import pytest
import torch

from xraisim.core import rotations
from xraisim.core.dispatch import in_loops, torch_forms
from xraisim.core.kernels import likelihood, merge, misfit, sampling
from xraisim.core.likelihood import candidate_loglik, pose_scores
from xraisim.core.merge import Accumulator
from xraisim.core.misfit import goodness
from xraisim.core.sampling import insert_slice_pairs, insert_slices, slice_volume


def results(given):
    """Return what every operation with two forms makes of an experiment."""
    volume, pixels, photons, poses_, fluence = (
        given.volume, given.pixels, given.photons, given.poses, given.fluence,
    )  # fmt: skip
    matrix, place = rotations.to_matrix(poses_), (volume.spacing, volume.grid)
    cut = slice_volume(volume.values, matrix, pixels.s, volume.spacing)
    sums = Accumulator.empty(volume.grid, volume.spacing)
    sums.add(pixels, photons, poses_, fluence, volume)
    scores, fit = (one(volume, pixels, photons, poses_) for one in (pose_scores, goodness))
    return [
        cut,
        insert_slices(cut, matrix, pixels.s, *place),
        *insert_slice_pairs(cut, cut.square(), matrix, pixels.s, *place),
        *candidate_loglik(volume, pixels, photons, poses_[:, None]),
        scores.value, scores.gradient, scores.fisher,
        fit.misfit, fit.fluence, sums.photons, sums.exposure,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["clean", "noisy"])
def test_both_forms_agree(request, name, monkeypatch):
    given = request.getfixturevalue(name)
    compiled = results(given)
    for module in (sampling, likelihood, merge, misfit):  # none of them may be called
        for loop in ("slice_forward", "insert_forward", "insert_pairs", "candidate_loglik",
                     "scores", "accumulate", "goodness"):  # fmt: skip
            monkeypatch.setattr(module, loop, None, raising=False)
    with torch_forms():
        plain = results(given)
    for left, right in zip(compiled, plain, strict=True):
        scale = float(right.abs().max())
        assert torch.allclose(left.double(), right.double(), rtol=1e-3, atol=2e-4 * scale)


def test_the_switch_ends_with_its_block(monkeypatch):
    cpu = torch.device("cpu")
    assert in_loops(cpu)
    assert not in_loops(torch.device("meta"))
    with torch_forms():
        assert not in_loops(cpu)
    assert in_loops(cpu)
    monkeypatch.setenv("XRAI_LOOPS", "torch")
    with torch_forms():
        pass
    assert not in_loops(cpu), "what was set before is set again"
