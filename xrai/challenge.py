"""The encoder challenges the poses found: where it proposes another one, the likelihood decides."""

from functools import partial

import torch
from torch import Tensor

from xrai.checkpoint import State
from xrai.encoder.cells import views_in_use
from xrai.lessons import encoder_of, pixels_of
from xrai.march import March
from xrai.monitor import Monitor
from xrai.poses import Poses, angle_modulo_mate, prune
from xraisim.core import so3
from xraisim.core.types import Photons, Volume


def challenge(march: March, state: State, monitor: Monitor) -> None:
    """Let the encoder propose for every pattern; keep what the exact likelihood prefers.

    Records how far the encoder alone is from the searched poses: its first choice, the error it
    states for that, the hypothesis that the likelihood picks, and the nearest one, all modulo the
    near-symmetric mate and the point group; and over how many view directions its choices spread,
    over those of the poses: much below one, the encoder has collapsed.
    """
    encoder = encoder_of(march, state)
    if encoder is None or not state.lit.any():
        return
    off = partial(angle_modulo_mate, group=march.group)
    volume, pixels = state.require_volume(), pixels_of(march)
    within = march.pixels_within(_reach(march, state))
    first, stated, picked, nearest, rescued = [], [], [], [], 0
    for rows, block in march.stream.blocks():
        lit = torch.nonzero(state.columns["fluence"][rows] > 0)[:, 0]
        if not len(lit):
            continue
        index, photons = rows.start + lit, block.take(lit.numpy())
        found = encoder.propose(photons.dense(len(pixels)).to(march.device))
        held = Poses(
            state.columns["orientations"][index].to(march.device),
            state.columns["loglik"][index].to(march.device),
            torch.deg2rad(state.columns["error_deg"][index]).double().to(march.device),
            state.columns["mate_margin"][index].double().to(march.device),
        )
        choice = prune(volume, within, photons, found.heads, 1)
        # The encoder takes a pose and its mate for one; at the edge of its reach they may differ.
        both = torch.cat([choice, so3.in_plane_mate(choice)], 1)
        choice = prune(volume, within, photons, both, 1)[:, 0].contiguous()
        heads = found.heads.unbind(1)
        angles = torch.stack([off(head, held.quaternion) for head in heads], 1)
        first.append(angles[:, 0])
        stated.append(found.error_deg)
        nearest.append(angles.min(1).values)
        picked.append(off(choice, held.quaternion))
        state.columns["encoder_orientations"][index] = found.heads[:, 0].cpu()
        rescued += _contest(march, state, volume, index, photons, choice, held)
    state.figures |= {
        "encoder_first_choice_deg_median": float(torch.cat(first).median()),
        "encoder_first_choice_deg_p90": float(torch.cat(first).quantile(0.9)),
        "encoder_stated_error_deg_median": float(torch.cat(stated).median()),
        "encoder_likelihood_pick_deg_median": float(torch.cat(picked).median()),
        "encoder_nearest_head_deg_median": float(torch.cat(nearest).median()),
        "encoder_rescued_patterns": float(rescued),
        "encoder_views_over_poses": _views(march, state, "encoder_orientations")
        / _views(march, state, "orientations"),
    }
    monitor.log("encoder", **state.figures)


def _views(march: March, state: State, name: str) -> float:
    return views_in_use(state.column(name)[state.lit], march.group)


def _reach(march: March, state: State) -> float:
    """Return the |s| (Å⁻¹) to which the encoder looks and poses were refined.

    A march that stopped early has no volume beyond.
    """
    return min(float(pixels_of(march).radius[-1]), state.limit)


def _contest(
    march: March,
    state: State,
    volume: Volume,
    numbers: Tensor,
    photons: Photons,
    choice: Tensor,
    held: Poses,
) -> int:
    """Refine proposals that lie elsewhere, keep the likelier; return how many poses turned."""
    s_low, s_edge = _reach(march, state), state.limit
    index = march.elsewhere(choice, held.quaternion, s_edge)
    if not len(index):
        return 0
    some, held, rivals = photons.take(index.cpu().numpy()), held.at(index), choice[index]
    # What is held was found against a volume of before.
    current = march.again(volume, some, held.quaternion, s_edge, margin=held.mate_margin, steps=1)
    better = march.contest(volume, some, current, rivals, s_low, s_edge)
    # Most rivals climb back to the pose held and differ by rounding alone: those are no rescues.
    turned = march.elsewhere(better.quaternion, current.quaternion, s_edge)
    target = numbers[index.cpu()]
    state.columns["orientations"][target] = better.quaternion.cpu()
    state.columns["loglik"][target] = better.loglik.cpu()
    state.columns["mate_margin"][target] = better.mate_margin.float().cpu()
    return len(turned)
