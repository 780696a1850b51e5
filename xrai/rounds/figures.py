"""What a round says of itself: its figures, and two questions asked of some of its patterns."""

from typing import Any

import torch
from torch import Tensor

from xrai.poses.cells import CellProposals
from xrai.poses.finder import Proposals
from xrai.rounds import outliers
from xrai.rounds.reconstruction import ActiveRound, Block
from xrai.state.round import FINAL, MOVED
from xraisim.core.halves import Agreement
from xraisim.core.symmetry import angle_modulo_mate
from xraisim.core.types import Photons

_PROBE = 256  # patterns that are posed against both halves, and searched again
_STRIPS = 8  # of neighbours, in which the patterns of a round are probed


def figures(active: ActiveRound, agreement: Agreement | None) -> dict[str, Any]:
    """Return a round's figures for the monitor: medians of the patterns that have photons."""
    state, round_, lit = active.state, active.round, active.lit(active.rows)
    columns = {name: values[lit] for name, values in state.columns.items()}
    told: dict[str, Any] = {
        "number": round_.number,
        "kind": round_.kind,
        "patterns_seen": state.seen,
        "patterns": round_.stop - round_.first,
        "d_min_angstrom": 1 / round_.s_now,
        "turned_deg_median": state.turned,
        "without_photons": round_.stop - round_.first - len(lit) or None,
    }
    if len(lit):
        told |= {
            "loglik_per_pattern": float(columns["loglik"].mean()),
            "error_deg_median": float(columns["error_deg"].median()),
            "misfit_median": float(columns["misfit"].median()),
            "outliers": float((columns["weight"] < 0.5).float().mean()),
            "fluence_spread": float(columns["fluence"].std()),
        }
    if agreement is not None:
        resolution = agreement.resolution
        told[f"{resolution.rule}_angstrom"] = resolution.angstrom
        told["reached_edge"] = resolution.reached_edge
        growing = round_.s_next * MOVED < active.finder.s_edge
        told["resolution"] = f"{resolution.rule} {resolution.text(growing=growing)}"
        told["s_per_angstrom"] = [round(s, 7) for s in agreement.s_per_angstrom.tolist()]
        told["icc_half"] = [round(value, 5) for value in agreement.correlation.tolist()]
    return told


def cell_figures(proposals: Proposals | None) -> dict[str, float]:
    """Return how many of the encoder's cells were ranked and to what gap followed, if they were."""
    if not isinstance(proposals, CellProposals):
        return {}
    return {"cells_ranked": proposals.ranked, "cells_gap": proposals.gap}


def disconcurrence(active: ActiveRound, last: Block | None) -> float | None:
    """Return the median angle (degrees) between poses of the same patterns against both halves.

    The orientation disconcurrence of Shen et al. (2021), on some patterns of the last block.
    """
    finder, s_max = active.finder, active.round.s_now
    if last is None or finder.sets != 2 or active.round.kind == FINAL:
        return None
    some, start = _probe(active, last)
    if not len(some):
        return None
    first, second = (
        finder.refine(volume, some, start, s_max).quaternion for volume in active.state.volumes
    )
    return float(torch.rad2deg(finder.apart(first, second)).median())


def rivals(active: ActiveRound, last: Block | None) -> float:
    """Return for how many of some patterns a search from nothing finds a likelier pose elsewhere.

    A share. Near-symmetric mates, which compete in other rounds, do not count, nor do patterns that
    fit no better elsewhere: junk always has a likelier pose.
    """
    if last is None:
        return 0.0
    finder, state, s_max = active.finder, active.state, active.round.s_now
    volume = state.volumes[0]
    some, start = _spread_probe(active, last)
    if not len(some):
        return 0.0
    held = finder.refine(volume, some, start, s_max)
    grid = finder.grid(volume, f"probe/{active.round.number}")
    best = finder.search_for_likelier(volume, some, held, grid, s_max).quaternion
    turned = torch.deg2rad(angle_modulo_mate(best, held.quaternion, finder.group))
    fit = finder.likelihood(volume, some, s_max).goodness(best)
    fits = outliers.weights(fit.misfit, fit.unexplained, state.typical_fit) > 0.5
    return float(((turned > finder.max_step(s_max)) & fits).double().mean())


def _spread_probe(active: ActiveRound, last: Block) -> tuple[Photons, Tensor]:
    """Return some patterns of a round that have photons, and their poses.

    Where it goes over patterns that have poses they come from all over it: those posed first had
    the bluntest volume. New ones have all met the same one, and the last block tells.
    """
    finder, round_ = active.finder, active.round
    size = round_.stop - round_.first
    if round_.locates or size <= finder.config.block:
        return _probe(active, last)
    length = min(_PROBE // _STRIPS, size)
    begins = [round_.first + number * size // _STRIPS for number in range(_STRIPS)]
    strips = [
        _probe(active, Block(*found))
        for begin in begins
        for found in finder.stream.blocks(begin, min(begin + length, round_.stop))
    ]
    photons, poses = zip(*strips, strict=True)
    return Photons.joined(photons), torch.cat(poses)


def _probe(active: ActiveRound, block: Block) -> tuple[Photons, Tensor]:
    """Return the first patterns of a block that have photons, and their poses."""
    lit = active.lit(block.rows)[:_PROBE]
    some = block.photons.take((lit - block.rows.start).numpy())
    return some, active.state.columns["orientations"][lit].to(active.finder.device)
