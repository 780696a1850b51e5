"""The comparison of golden results finds what moved, and lets nothing else pass."""

import numpy as np
import pytest
import torch

from tests.golden import quantity as q
from xraisim.core import rotations, so3
from xraisim.core.random import generator

POSES = so3.haar(40, generator(1, "poses"))
TURN = so3.haar(1, generator(2, "turn"))


def off(degrees: float, poses: torch.Tensor = POSES) -> torch.Tensor:
    vector = torch.tensor([[np.radians(degrees), 0.0, 0.0]], dtype=torch.float32)
    return rotations.multiply(poses, rotations.from_rotation_vector(vector))


@pytest.mark.parametrize(
    ("old", "same", "moved", "text"),
    [
        (q.exact("a"), q.exact("a"), q.exact("b"), "'a' became 'b'"),
        (q.digest(np.arange(3)), q.digest(np.arange(3)), q.digest(np.arange(4)), "became"),
        (q.drawn([90, 40], [1]), q.drawn([90, 40], [1]), q.drawn([90, 40], [2]), "not the same"),
        (q.figures({"R": 0.5}), q.figures({"R": 0.5002}), q.figures({"R": 0.6}), "0.5 became 0.6"),
        (q.figures({"R": 0.5}), q.figures({"R": 0.5}), q.figures({"R": None}), "0.5 became None"),
        (q.figures({"R": 0.5}), q.figures({"R": 0.5}), q.figures({"S": 0.5}), "became absent"),
        (q.curve([0.9, 0.5]), q.curve([0.9, 0.5005]), q.curve([0.9, 0.52]), "moved by 0.02"),
        (q.curve([0.9, 0.5]), q.curve([0.9, 0.5]), q.curve([0.9, np.nan]), "moved by inf"),
        (q.curve([0.9, 0.5]), q.curve([0.9, 0.5]), q.curve([0.9]), "shape (2,) became (1,)"),
        (q.points([3.0, 4.0]), q.points([3.0, 4.001]), q.points([3.0, 4.1]), "(1 of 2)"),
        (q.poses(POSES), q.poses(off(0.01)), q.poses(off(0.1)), "moved by 0.1°"),
        (q.curve([0.9]), q.curve([0.9]), q.points([0.9]), "was curve, is points"),
    ],
)  # fmt: skip
def test_what_moved_is_named(old, same, moved, text):
    assert q.differences("it", old, same, here=True) == []
    (line,) = [one for one in q.differences("it", old, moved, here=True) if text in one]
    assert line.startswith("it")


def test_elsewhere_a_global_rotation_and_mates_are_free_and_errors_are_not():
    old = q.turned_poses(POSES, 1.0)
    turned = rotations.multiply(POSES, TURN)
    turned[::2] = so3.in_plane_mate(turned[::2])
    assert q.differences("it", old, q.turned_poses(turned, 1.0), here=False) == []
    assert q.differences("it", old, q.turned_poses(turned, 1.0), here=True) != []
    scattered = so3.perturb(turned, 1, np.radians(5), generator(3, "errors"))[:, 0]
    (line,) = q.differences("it", old, q.turned_poses(scattered, 1.0), here=False)
    assert "median: moved by" in line


def test_the_wider_tolerance_holds_elsewhere_only():
    old, new = q.curve([0.9], 0.05), q.curve([0.92], 0.05)
    assert q.differences("it", old, new, here=False) == []
    assert q.differences("it", old, new, here=True) != []
