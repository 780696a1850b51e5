"""What a round says of itself: its figures, and two questions asked of some of its patterns."""

from typing import Any

import torch
from torch import Tensor

from xrai.poses.cells import CellProposals
from xrai.poses.finder import PoseFinder, Proposals
from xrai.rounds import outliers
from xrai.state.round import FINAL, MOVED, Round
from xrai.state.state import State
from xraisim.core.halves import Agreement
from xraisim.core.misfit import goodness
from xraisim.core.symmetry import angle_modulo_mate
from xraisim.core.types import Photons

_PROBE = 256  # patterns that are posed against both halves, and searched again


def figures(
    finder: PoseFinder, state: State, round_: Round, verdict: Agreement | None
) -> dict[str, Any]:
    """Return a round's figures for the monitor: medians of the patterns that have photons."""
    rows = slice(round_.first, round_.stop)
    lit = lit_rows(state, rows)
    columns = {name: values[lit] for name, values in state.columns.items()}
    found: dict[str, Any] = {
        "number": round_.number,
        "kind": round_.kind,
        "patterns_seen": state.seen,
        "patterns": round_.stop - round_.first,
        "d_min_angstrom": 1 / round_.s_now,
        "turned_deg_median": state.turned,
        "without_photons": round_.stop - round_.first - len(lit) or None,
    }
    if len(lit):
        found |= {
            "loglik_per_pattern": float(columns["loglik"].mean()),
            "error_deg_median": float(columns["error_deg"].median()),
            "misfit_median": float(columns["misfit"].median()),
            "outliers": float((columns["weight"] < 0.5).float().mean()),
            "fluence_spread": float(columns["fluence"].std()),
        }
    if verdict is not None:
        resolution = verdict.resolution
        found[f"{resolution.rule}_angstrom"] = resolution.angstrom
        found["reached_edge"] = resolution.reached_edge
        growing = round_.s_next * MOVED < finder.s_edge
        found["resolution"] = f"{resolution.rule} {resolution.text(growing=growing)}"
        found["s_per_angstrom"] = [round(s, 7) for s in verdict.s_per_angstrom.tolist()]
        found["icc_half"] = [round(value, 5) for value in verdict.correlation.tolist()]
    return found


def cells(propose: Proposals | None) -> dict[str, float]:
    """Return how many of the encoder's cells were ranked and to what gap followed, if they were."""
    if not isinstance(propose, CellProposals):
        return {}
    return {"cells_ranked": propose.ranked, "cells_gap": propose.gap}


def disconcurrence(
    finder: PoseFinder, state: State, round_: Round, last: tuple[slice, Photons] | None
) -> float | None:
    """Return the median angle (degrees) between poses of the same patterns against both halves.

    The orientation disconcurrence of Shen et al. (2021), on some patterns of the last block.
    """
    if last is None or finder.sets != 2 or round_.kind == FINAL:
        return None
    some, start = _probe(finder, state, *last)
    if not len(some):
        return None
    first, second = (
        finder.refine(volume, some, start, round_.s_now).quaternion for volume in state.volumes
    )
    return float(torch.rad2deg(finder.apart(first, second)).median())


def rivals(
    finder: PoseFinder, state: State, round_: Round, last: tuple[slice, Photons] | None
) -> float:
    """Return for how many of some patterns a search from nothing finds a likelier pose elsewhere.

    A share. Near-symmetric mates, which compete in other rounds, do not count, nor do patterns that
    fit no better elsewhere: junk always has a likelier pose.
    """
    if last is None:
        return 0.0
    volume, s_max = state.volumes[0], round_.s_now
    some, start = _probe(finder, state, *last)
    if not len(some):
        return 0.0
    held = finder.refine(volume, some, start, s_max)
    grid = finder.grid(volume, f"probe/{round_.number}")
    found = finder.search_again(volume, some, held, grid, s_max)
    turned = torch.deg2rad(angle_modulo_mate(found.quaternion, held.quaternion, finder.group))
    fit = goodness(volume, finder.pixels_within(s_max), some, found.quaternion)
    fits = outliers.weights(fit.misfit, fit.unexplained, state.usual) > 0.5
    return float(((turned > finder.max_step(s_max)) & fits).double().mean())


def _probe(
    finder: PoseFinder, state: State, rows: slice, photons: Photons
) -> tuple[Photons, Tensor]:
    """Return the first patterns of a block that have photons, and their poses."""
    lit = lit_rows(state, rows)[:_PROBE]
    some = photons.take((lit - rows.start).numpy())
    return some, state.columns["orientations"][lit].to(finder.device)


def lit_rows(state: State, rows: slice) -> Tensor:
    """Return the numbers of those patterns among ``rows`` that have photons."""
    return rows.start + torch.nonzero(state.columns["fluence"][rows] > 0)[:, 0]
