"""From a posterior over cells of SO(3) to its modes: hypotheses with probabilities."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import so3
from xraisim.core.symmetry import nearest_mate


def modes(
    pose: Float[Tensor, "n k 4"],
    probability: Float[Tensor, "n k"],
    radius_rad: float,
    heads: int,
    group: Float[Tensor, "m 4"] | None = None,
) -> tuple[Float[Tensor, "n H 4"], Float[Tensor, "n H"]]:
    """Return the modes of weighted rotations, the most probable first, and their probabilities.

    One after another: the likeliest rotation left takes in all within ``radius_rad``, and their
    weighted mean is the mode. Rotations count modulo the in-plane mate and the point group.
    """
    left, found, mass = probability, [], []
    rows = torch.arange(len(pose), device=pose.device)
    for _ in range(heads):
        peak = pose[rows, left.argmax(1)]
        nearer, cosine = mate_nearest(pose, peak, group)
        near = cosine > math.cos(radius_rad / 2)
        taken = left * near
        mean = (nearer * taken[..., None]).sum(1)
        # A mode without mass is what remains once all cells are taken: it stays at its peak.
        empty = taken.sum(1, keepdim=True) <= 0
        found.append(torch.nn.functional.normalize(torch.where(empty, peak, mean), dim=-1))
        mass.append(taken.sum(1))
        left = torch.where(near, 0.0, left)
    weight, order = torch.stack(mass, 1).sort(dim=1, descending=True, stable=True)
    return torch.stack(found, 1).gather(1, order[..., None].expand(-1, -1, 4)), weight


def mate_nearest(
    pose: Float[Tensor, "n k 4"],
    centre: Float[Tensor, "n 4"],
    group: Float[Tensor, "m 4"] | None = None,
) -> tuple[Float[Tensor, "n k 4"], Float[Tensor, "n k"]]:
    """Return each rotation or its mate, whichever is nearer to ``centre``, and cos(angle / 2).

    The quaternions lie in the hemisphere of ``centre``, so that they can be averaged.
    """
    mate = so3.in_plane_mate(pose)
    if group is not None:
        pose, mate = (nearest_mate(q, centre[:, None], group)[0] for q in (pose, mate))
    direct, turned = ((q * centre[:, None]).sum(-1) for q in (pose, mate))
    nearer = torch.where((turned.abs() > direct.abs())[..., None], mate, pose)
    cosine = (nearer * centre[:, None]).sum(-1, keepdim=True)
    return torch.where(cosine < 0, -nearer, nearer), cosine[..., 0].abs().clamp_max(1)


def mean_angle(
    pose: Float[Tensor, "n k 4"],
    probability: Float[Tensor, "n k"],
    centre: Float[Tensor, "n 4"],
    elsewhere_rad: float,
    group: Float[Tensor, "m 4"] | None = None,
) -> Float[Tensor, "n"]:
    """Return the posterior's mean angle (radians) to ``centre``, modulo mate and point group.

    The probability that the given rotations lack counts as ``elsewhere_rad`` away.
    """
    _, cosine = mate_nearest(pose, centre, group)
    lacking = (1 - probability.sum(1)).clamp_min(0)
    return (probability * 2 * torch.acos(cosine)).sum(1) + lacking * elsewhere_rad
