"""Where poses of new patterns are looked for: a whole grid, or the encoder's hypotheses.

Both end in the same refinement by likelihood. The encoder takes over when, on some patterns of the
round at hand, the poses it leads to are as likely as the grid's, and it takes less than half of the
processor time: measured once per run, so that a resumed run decides alike.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xrai.checkpoint import State
from xrai.encoder import Encoder
from xrai.lessons import encoder_of, pixels_of
from xrai.march import March, Proposals
from xrai.monitor import Monitor
from xrai.poses import prune
from xrai.rounds import REHEAT, Round
from xraisim.core import so3
from xraisim.core.types import Photons, Pixels, Volume

_PROBE = 256
_AS_GOOD = 0.97  # of the probe has to be as likely from the encoder's hypotheses
_TIE = 1.0  # nats
_CHEAPER = 0.5


@dataclass(frozen=True)
class HeadProposals:
    """The encoder's hypotheses and their near-symmetric mates, ranked by the exact likelihood."""

    volume: Volume
    pixels: Pixels
    encoder: Encoder
    encoder_pixels: Pixels

    @property
    def s_max(self) -> float:
        """The |s| (Å⁻¹) of the outermost pixel by which hypotheses are ranked."""
        return float(self.pixels.radius[-1])

    def best(self, photons: Photons, keep: int) -> Float[Tensor, "n keep 4"]:
        """Return the ``keep`` likeliest of the hypotheses."""
        counts = photons.dense(len(self.encoder_pixels)).to(self.pixels.s.device)
        heads = self.encoder.propose(counts).heads
        both = torch.cat([heads, so3.in_plane_mate(heads)], 1)
        return prune(self.volume, self.pixels, photons, both, min(keep, both.shape[1]))


def proposals(
    march: March, state: State, round_: Round, photons: Photons, monitor: Monitor
) -> Proposals:
    """Return where to look in the round at hand, judged on the first of its ``photons``."""
    volume = state.require_volume()
    if round_.kind == REHEAT:
        return march.wide_grid(volume, f"search/{round_.number}", round_.s_now)
    grid = march.grid(volume, f"search/{state.rounds + 1}")
    encoder = encoder_of(march, state)
    if encoder is None:
        return grid
    low = march.pixels_within(march.s_search)
    heads = HeadProposals(volume, low, encoder, pixels_of(march))
    if not state.proposing:
        state.proposing = _choice(march, state, grid, heads, photons, monitor)
    return heads if state.proposing == "heads" else grid


def _choice(
    march: March,
    state: State,
    grid: Proposals,
    heads: Proposals,
    photons: Photons,
    monitor: Monitor,
) -> str:
    if state.heads_cheaper is False:
        return "grid"
    probe = photons.take(np.arange(min(_PROBE, len(photons))))
    volume, keep = state.require_volume(), march.config.search.hypotheses
    seconds, loglik = [], []
    for source in (grid, heads):
        source.best(probe, keep)  # compiles, and fills caches
        began = time.process_time()
        source.best(probe, keep)
        seconds.append(time.process_time() - began)
        loglik.append(march.locate(volume, probe, source, march.s_search).loglik)
    as_good = march.processes.agreed(float((loglik[1] >= loglik[0] - _TIE).double().mean()))
    if state.heads_cheaper is None:
        ratio = march.processes.agreed(seconds[1] / max(seconds[0], 1e-9))
        state.heads_cheaper = ratio < _CHEAPER
        monitor.log("proposals", time_heads_over_grid=ratio, heads_as_good=as_good)
    return "heads" if state.heads_cheaper and as_good >= _AS_GOOD else "grid"
