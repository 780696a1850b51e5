"""Poses of a block of patterns, how well they fit there, and their part in the sums."""

import torch
from torch import Tensor

from xrai.poses.cells import CellProposals
from xrai.poses.finder import Proposals
from xrai.poses.posterior import Posterior
from xrai.poses.refine import Poses
from xrai.rounds import outliers
from xrai.rounds.reconstruction import ActiveRound, Block
from xraisim.core.halves import members
from xraisim.core.random import generator
from xraisim.core.types import Photons, Volume

# Columns that a round fills in.
COLUMNS = (
    "orientations", "loglik", "error_deg", "mate_margin", "turned_deg", "misfit", "unexplained",
    "fluence", "weight",
)  # fmt: skip


def pose_and_merge(active: ActiveRound, block: Block, proposals: Proposals | None) -> None:
    """Pose a block and merge it, each set of its patterns against the volume of that set."""
    finder, state, rows = active.finder, active.state, block.rows
    before = state.columns["orientations"][rows].clone()
    references = active.references
    for number, some in enumerate(members(rows, finder.sets)):
        if not len(some):
            continue
        posed = _PosedSet(active, number, some + rows.start, block.photons.take(some.numpy()))
        posed.merge(posed.posterior(references[number], proposals))
    turned = finder.apart(before, state.columns["orientations"][rows])
    # A pattern that had no pose has turned as far as can be.
    state.columns["turned_deg"][rows] = torch.rad2deg(turned).nan_to_num(180.0)


class _PosedSet:
    """The patterns of one set in a block: ``index``, their numbers, and ``photons``."""

    def __init__(self, active: ActiveRound, number: int, index: Tensor, photons: Photons) -> None:
        self._active, self._number, self._index = active, number, index
        self._photons = photons

    def posterior(self, volume: Volume, proposals: Proposals | None) -> Posterior:
        """Return what is known of their poses against a volume."""
        finder, s_now = self._active.finder, self._active.round.s_now
        modes = self._modes(volume, proposals)
        likelihood = finder.likelihood(volume, self._photons, s_now)
        return Posterior(likelihood, modes, s_now * finder.stream.diameter_angstrom)

    def _modes(self, volume: Volume, proposals: Proposals | None) -> list[Poses]:
        """Find poses from nothing where some are proposed, else from those held; or the better.

        A pose that is searched anew has to be likelier than the one held.
        """
        finder, round_ = self._active.finder, self._active.round
        photons, s_now = self._photons, round_.s_now
        if proposals is not None and round_.locates:
            if isinstance(proposals, CellProposals):
                return finder.locate_in_cells(volume, photons, proposals, s_now)
            return [finder.locate(volume, photons, proposals, s_now)]
        held = finder.refine(volume, photons, self._held("orientations"), s_now)
        held = held.with_margin(self._held("mate_margin"))
        if round_.number % finder.config.refine.mates_every == 0:
            held = finder.score_mates(volume, photons, held, s_now)
        if proposals is not None:
            held = finder.search_for_likelier(volume, photons, held, proposals, s_now)
        return [held]

    def _held(self, name: str) -> Tensor:
        return self._active.state.columns[name][self._index].to(self._active.finder.device)

    def merge(self, posterior: Posterior) -> None:
        """Keep what was found of the patterns, and add them to the sums in rounds that merge."""
        finder, state, round_ = self._active.finder, self._active.state, self._active.round
        poses = posterior.likeliest
        fit = posterior.likelihood.goodness(poses.quaternion)
        weight = outliers.weights(fit.misfit, fit.unexplained, state.typical_fit)
        weight = weight * (fit.fluence > 0)
        for name, values in (
            ("orientations", poses.quaternion),
            ("loglik", poses.loglik),
            ("error_deg", torch.rad2deg(poses.error_rad).float()),
            ("mate_margin", poses.mate_margin.float()),
            ("misfit", fit.misfit.float()),
            ("unexplained", fit.unexplained.float()),
            ("fluence", fit.fluence.float()),
            ("weight", weight),
        ):
            state.columns[name][self._index] = values.cpu()
        if not round_.merges:
            return
        name = f"draw/{round_.number}/{int(self._index[0])}"
        drawn = posterior.draw(generator(finder.config.seed, name, finder.device))
        pixels, volume = finder.pixels_within(round_.s_next), posterior.likelihood.volume
        sums = state.sums[self._number]
        sums.add(pixels, self._photons, drawn, fit.fluence.float(), volume, weight)
