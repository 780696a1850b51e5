"""How far the encoder alone is from the poses found."""

from functools import partial

import torch

from xrai.encoder.cells import views_in_use
from xrai.poses.finder import PoseFinder
from xrai.rounds.encoder_training import encoder_of, pixels_of
from xrai.rounds.reconstruction import Reconstruction
from xrai.state.state import State
from xraisim.core.symmetry import angle_modulo_mate


def check_encoder(run: Reconstruction) -> None:
    """Let the encoder propose for every pattern, and keep its first choice beside the pose found.

    Records how far from the poses its first choice is, the error that it states for that, and how
    far its nearest hypothesis is, all modulo the near-symmetric mate and the point group; and over
    how many view directions its choices spread, over those of the poses: much below one, the
    encoder has collapsed.
    """
    finder, state = run.finder, run.state
    encoder = encoder_of(finder, state)
    if encoder is None or not state.lit.any():
        return
    off = partial(angle_modulo_mate, group=finder.group)
    width = len(pixels_of(finder))
    first, stated, nearest = [], [], []
    for rows, block in finder.stream.blocks():
        lit = torch.nonzero(state.columns["fluence"][rows] > 0)[:, 0]
        if not len(lit):
            continue
        index, photons = rows.start + lit, block.take(lit.numpy())
        proposed = encoder.propose(photons.dense(width).to(finder.device))
        pose = state.columns["orientations"][index].to(finder.device)
        angles = torch.stack([off(hypothesis, pose) for hypothesis in proposed.heads.unbind(1)], 1)
        first.append(angles[:, 0])
        stated.append(proposed.error_deg)
        nearest.append(angles.min(1).values)
        state.columns["encoder_orientations"][index] = proposed.heads[:, 0].cpu()
    state.figures |= {
        "encoder_first_choice_deg_median": float(torch.cat(first).median()),
        "encoder_first_choice_deg_p90": float(torch.cat(first).quantile(0.9)),
        "encoder_stated_error_deg_median": float(torch.cat(stated).median()),
        "encoder_nearest_hypothesis_deg_median": float(torch.cat(nearest).median()),
        "encoder_views_over_poses": _views(finder, state, "encoder_orientations")
        / _views(finder, state, "orientations"),
    }
    run.monitor.log("encoder", **state.figures)


def _views(finder: PoseFinder, state: State, name: str) -> float:
    return views_in_use(state.column(name)[state.lit], finder.group)
