"""The frame that two sets of poses of the same patterns have in common."""

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations, so3
from xraisim.core.align import Alignment
from xraisim.core.symmetry import angle_modulo_mate, nearest_mate

_ANCHORS, _POLISH = 300, 6  # poses that give a frame each, and how often the best is improved


def align_poses(
    found: Float[Tensor, "n 4"], true: Float[Tensor, "n 4"], group: Float[Tensor, "m 4"]
) -> Alignment:
    """Return the rotation A with R_found ≈ R_true·A for most poses, modulo mate and ``group``.

    The best of those that some poses give each, then the mean over the better half of all. The
    score is minus the median angle in degrees. All poses have to be there: no NaN.
    """
    few = torch.linspace(0, len(found) - 1, min(_ANCHORS, len(found))).long()
    turns = rotations.multiply(rotations.conjugate(true[few]), found[few])
    median = torch.stack([_median_deg(one, found[few], true[few], group) for one in turns])
    turn = turns[int(median.argmin())]
    for _ in range(_POLISH):
        back = _frame_of(turn).to_reference_frame(found)
        both = torch.stack([true, so3.in_plane_mate(true)], 1)
        mates = torch.stack([nearest_mate(one, back, group)[0] for one in both.unbind(1)], 1)
        cosine = (mates * back[:, None]).sum(-1).abs()
        nearest = mates[torch.arange(len(back)), cosine.argmax(1)]
        inner = cosine.max(1).values >= cosine.max(1).values.median()
        each = rotations.multiply(rotations.conjugate(nearest[inner]), found[inner])
        each = each * torch.sign((each * turn).sum(1, keepdim=True))
        turn = torch.nn.functional.normalize(each.mean(0), dim=0)
    return Alignment(quaternion=turn, score=-float(_median_deg(turn, found, true, group)))


def _median_deg(turn: Tensor, found: Tensor, true: Tensor, group: Tensor) -> Tensor:
    return angle_modulo_mate(_frame_of(turn).to_reference_frame(found), true, group).median()


def _frame_of(turn: Tensor) -> Alignment:
    return Alignment(quaternion=turn, score=0.0)
