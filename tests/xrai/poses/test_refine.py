"""Steps up the likelihood of a pose, where the Fisher information is not its curvature."""

import numpy as np
import pytest
import torch

from xrai.poses import likelihood
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.refine import NewtonSteps, refine
from xraisim.core import rotations, so3
from xraisim.core.likelihood import PoseScores
from xraisim.core.random import generator
from xraisim.core.types import Photons, Pixels, Volume

_ONE = torch.ones(1)
NOTHING = PoseLikelihood(
    Volume(values=torch.zeros(3, 3, 3), spacing=1.0, kind="intensity"),
    Pixels(s=_ONE.expand(1, 3), gain=_ONE, background=_ONE, index=_ONE.long(), shape=(1, 1)),
    Photons(
        offsets=np.zeros(31, np.int64), pixel=np.empty(0, np.int32), count=np.empty(0, np.int32)
    ),
)


@pytest.mark.parametrize("curvature", [0.5, 1.0, 4.0, 20.0])
def test_a_second_step_is_as_long_as_the_first_one_measured(monkeypatch, curvature):
    """A parabola about known poses, which bends ``curvature`` times as much as the information."""
    best = so3.haar(30, generator(0, "best"))
    information = 1e4 * torch.eye(3, dtype=torch.float64).expand(30, 3, 3)

    def scores(volume, pixels, photons, pose):
        relative = rotations.multiply(rotations.conjugate(pose), best).double()
        away = -2 * relative[:, 1:] * relative[:, :1].sign()
        return PoseScores(
            value=-curvature * 1e4 / 2 * away.square().sum(1),
            gradient=-curvature * 1e4 * away,
            fisher=information,
        )

    monkeypatch.setattr(likelihood, "pose_scores", scores)
    start = so3.perturb(best, 1, 0.005, generator(1, "start"))[:, 0]
    before = rotations.angle_between(start, best)
    after = [
        rotations.angle_between(refine(NOTHING, start, NewtonSteps(n, 1.0)).quaternion, best)
        for n in (1, 2)
    ]
    # Steps that would lead to where the likelihood is lower are not taken.
    assert bool((after[0] <= before * 1.001).all())
    assert float((after[1] / before).max()) < (0.3 if curvature < 1 else 0.03)
