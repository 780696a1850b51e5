"""What an encoder with several heads minimises."""

import torch

from benchmarks.studies.encoder.head_loss import encoder_loss, pose_distance
from xraisim.core import rotations, so3
from xraisim.core.random import generator


def test_pose_distance_counts_the_mate_as_the_same():
    pose = so3.haar(10, generator(0, "pose"))
    both = torch.stack([pose, so3.in_plane_mate(pose)], 1)
    distance = pose_distance(rotations.to_matrix(both), rotations.to_matrix(pose))
    assert float(distance.max()) < 1e-5
    # ‖R − 1‖² = 8 sin²(ω/2) for a rotation by ω.
    turn = rotations.from_rotation_vector(torch.tensor([[0.2, 0.0, 0.0]]))
    turned = rotations.to_matrix(rotations.multiply(turn, pose))[:, None]
    expected = 8 * torch.sin(torch.tensor(0.1)) ** 2
    assert torch.allclose(
        pose_distance(turned, rotations.to_matrix(pose)), expected.expand(10, 1), atol=1e-5
    )


def test_only_the_winning_head_learns_the_target():
    heads = rotations.to_matrix(so3.haar(6, generator(0, "heads")).reshape(2, 3, 4))
    heads = heads.requires_grad_()
    target = rotations.to_matrix(so3.haar(2, generator(1, "target")))
    encoder_loss(heads, torch.zeros(2, 3), target, mean_weight=0.0).backward()
    winner = pose_distance(heads.detach(), target).argmin(1)
    touched = heads.grad.abs().sum((-1, -2)) > 0
    assert (touched.sum(1) == 1).all()
    assert touched[torch.arange(2), winner].all()
