"""Poses of blocks of patterns: from nothing, or again from the ones they have.

A pose refined to |s| reaches the right speckle a little beyond s; merging then sharpens the volume
there, and the next round uses it. So the limit moves outwards in small geometric steps (frequency
marching).
"""

import math
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from xrai.config import TrainConfig
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.mates import refine_hypotheses, score_mates
from xrai.poses.refine import NewtonSteps, Poses, refine
from xrai.poses.search import GridSearch, prune
from xrai.sources.stream import PatternStream
from xraisim.core import so3
from xraisim.core.processes import ALONE, Processes
from xraisim.core.random import generator
from xraisim.core.symmetry import angle_modulo, point_group
from xraisim.core.types import Photons, Pixels, Volume

_AT_REST = 0.03  # of the longest step: poses that turn by less have arrived
_FAR = 1.0  # of the longest step: proposals nearer to the pose held are the same pose
_SEARCH_STEPS = 3  # of a pose that was searched for, at the limit of the search
_DESCENT = 1.4  # ratio of the limits through which a pose found at low resolution is refined


@runtime_checkable
class Proposals(Protocol):
    """Where poses of a pattern may lie, judged on |s| ≤ ``s_max`` (Å⁻¹)."""

    @property
    def s_max(self) -> float:
        """The |s| of the outermost pixel that was looked at."""

    def best(self, photons: Photons, keep: int) -> Tensor:
        """Return the ``keep`` most promising quaternions [n, keep, 4], the best first."""


class Cells(Proposals, Protocol):
    """Proposals that know which are worth following."""

    def starts(self, photons: Photons) -> list[tuple[Tensor, Tensor]]:
        """Return pattern numbers [m] and quaternions [m, 4] to start from, first those of all."""


class PoseFinder:
    """One stream of patterns and how its poses are found."""

    def __init__(
        self,
        stream: PatternStream,
        config: TrainConfig,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self.stream, self.config, self.device, self.processes = stream, config, device, processes
        self.pixels = stream.pixels.to(device)
        self.sets = 2 if config.rounds.halves else 1
        group = point_group(config.symmetry)
        self.group = group.to(device) if len(group) > 1 else None

    def is_mine(self, rows: slice) -> bool:
        """Whether a block is among this process's share of the patterns."""
        return rows.start // self.config.block % self.processes.count == self.processes.rank

    @property
    def s_edge(self) -> float:
        """The outermost pixel's |s| in Å⁻¹."""
        return float(self.pixels.radius[-1])

    @property
    def s_search(self) -> float:
        """The |s| (Å⁻¹) to which poses are first searched."""
        return min(self.config.search.reach / self.stream.diameter_angstrom, self.s_edge)

    def pixels_within(self, s_max: float) -> Pixels:
        """Return the pixels to the limit ``s_max`` (Å⁻¹)."""
        return self.pixels.first(self.pixels.count_below(s_max * (1 + 1e-6)))

    def likelihood(self, volume: Volume, photons: Photons, s_max: float) -> PoseLikelihood:
        """Return the likelihood of poses of some patterns, to a resolution limit."""
        return PoseLikelihood(volume, self.pixels_within(s_max), photons)

    def steps(self, s_max: float, count: int | None = None) -> NewtonSteps:
        """Return the steps of a refinement to a resolution limit; as many as configured."""
        return NewtonSteps(count or self.config.refine.iterations, self.max_step(s_max))

    def max_step(self, s_max: float) -> float:
        """Return the longest Newton step in radians at a resolution limit."""
        return self.config.refine.max_step / (s_max * self.stream.diameter_angstrom)

    @property
    def s_wide(self) -> float:
        """The |s| (Å⁻¹) to which all poses are searched anew."""
        return min(self.config.search.wide_reach / self.stream.diameter_angstrom, self.s_edge)

    def grid(self, volume: Volume, name: str) -> GridSearch:
        """Return an exhaustive search of a volume, its grid turned at random by ``name``."""
        return self._grid(volume, name, self.s_search, self.config.search.rotations)

    def wide_grid(self, volume: Volume, name: str, s_max: float) -> GridSearch:
        """Return a finer one that looks farther, but not beyond ``s_max``."""
        reach = min(self.s_wide, s_max)
        return self._grid(volume, name, reach, self.config.search.wide_rotations)

    def _grid(self, volume: Volume, name: str, s_max: float, count: int) -> GridSearch:
        random = generator(self.config.seed, name, self.device)
        return GridSearch(volume, self.pixels_within(s_max), count, random)

    def locate(self, volume: Volume, photons: Photons, proposals: Proposals, s_max: float) -> Poses:
        """Find poses from nothing, to the resolution ``s_max``: propose, refine, descend."""
        low = proposals.s_max
        poses = self._search(volume, photons, proposals)
        return self.refine_outwards(volume, photons, poses, ladder(low, s_max, _DESCENT)[1:])

    def _search(self, volume: Volume, photons: Photons, proposals: Proposals) -> Poses:
        """Return the likeliest poses that were proposed, refined as far as they were judged."""
        low = proposals.s_max
        hypotheses = proposals.best(photons, self.config.search.hypotheses)
        likelihood = self.likelihood(volume, photons, low)
        return refine_hypotheses(likelihood, hypotheses, self.steps(low, _SEARCH_STEPS))

    def locate_in_cells(
        self, volume: Volume, photons: Photons, proposals: "Cells", s_max: float
    ) -> list[Poses]:
        """Refine the likeliest cells to the resolution ``s_max``.

        The first poses are those of the likeliest; of each further one only some patterns have
        another, and the others a log-likelihood of −∞. A third of what :meth:`locate` costs where
        one is followed. The mate of a pose competes as it is, unrefined, at every limit.
        """
        (_, first), *others = proposals.starts(photons)
        low = proposals.s_max
        limits = [low, *(ladder(low, s_max, _DESCENT)[1:] or [s_max])]
        modes = [self._refine_cells(volume, photons, first, limits)]
        if not others:
            return modes
        every, starts = (torch.cat(column) for column in zip(*others, strict=True))
        some = photons.take(every.cpu().numpy())
        refined = self._refine_cells(volume, some, starts, limits)
        nowhere = replace(modes[0], loglik=torch.full_like(modes[0].loglik, -math.inf))
        sizes = [len(index) for index, _ in others]
        rows = torch.arange(len(every), device=every.device).split(sizes)
        modes += [
            nowhere.changed(index, refined.at(which))
            for (index, _), which in zip(others, rows, strict=True)
        ]
        return modes

    def _refine_cells(
        self, volume: Volume, photons: Photons, start: Tensor, limits: list[float]
    ) -> Poses:
        poses = self.refine(volume, photons, start, limits[0])
        for limit in limits[1:]:
            mate = so3.in_plane_mate(poses.quaternion)
            both = torch.stack([poses.quaternion, mate], 1)
            loglik = self.likelihood(volume, photons, limit).of(both)
            likelier = torch.where((loglik[:, 1] > loglik[:, 0])[:, None], mate, poses.quaternion)
            margin = (loglik[:, 1] - loglik[:, 0]).abs()
            poses = self.refine(volume, photons, likelier, limit).with_margin(margin)
        return poses

    def apart(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the angles (radians) between quaternions [n, 4], modulo the point group."""
        return angle_modulo(self.group, first, second)

    def elsewhere(self, rivals: Tensor, held: Tensor, s_max: float) -> Tensor:
        """Return the numbers of the quaternions [n, 4] that are no refinement of those held."""
        far = self.apart(rivals, held) > _FAR * self.max_step(s_max)
        return torch.nonzero(far)[:, 0]

    def search_for_likelier(
        self, volume: Volume, photons: Photons, held: Poses, proposals: Proposals, s_max: float
    ) -> Poses:
        """Search anew for poses held at ``s_max``; a rival has to be likelier, low and high.

        Only rivals that lie elsewhere are refined through the limits in between.
        """
        low = proposals.s_max
        best = self._search(volume, photons, proposals)
        both = torch.stack([held.quaternion, best.quaternion], 1)
        rivals = prune(self.likelihood(volume, photons, low), both, 1)[:, 0]
        index = self.elsewhere(rivals, held.quaternion, s_max)
        if not len(index):
            return held
        some, mine = photons.take(index.cpu().numpy()), held.at(index)
        undecided = torch.zeros_like(mine.mate_margin)
        rival = replace(mine, quaternion=rivals[index].contiguous(), mate_margin=undecided)
        rival = self.refine_outwards(volume, some, rival, ladder(low, s_max, _DESCENT))
        return held.changed(index, mine.better(rival))

    def refine_outwards(
        self, volume: Volume, photons: Photons, poses: Poses, limits: list[float]
    ) -> Poses:
        """Refine poses, and mates not decided, through rising limits against a finished volume."""
        for s_max in limits:
            refined = self.refine(volume, photons, poses.quaternion, s_max)
            refined = refined.with_margin(poses.mate_margin)
            poses = self.score_mates(volume, photons, refined, s_max)
        return poses

    def at_rest(self, turned_deg: float, s_max: float) -> bool:
        """Whether a round turned the poses so little that they need hardly be refined again."""
        return math.radians(turned_deg) < _AT_REST * self.max_step(s_max)

    def refine(self, volume: Volume, photons: Photons, start: Tensor, s_max: float) -> Poses:
        """Refine quaternions [n, 4] to a limit."""
        return refine(self.likelihood(volume, photons, s_max), start, self.steps(s_max))

    def score_mates(self, volume: Volume, photons: Photons, poses: Poses, s_max: float) -> Poses:
        """Let the near-symmetric mates of poses refined to a limit compete, where not decided."""
        return score_mates(self.likelihood(volume, photons, s_max), poses, self.steps(s_max))


def ladder(s_start: float, s_edge: float, ratio: float) -> list[float]:
    """Return |s| limits (Å⁻¹) from ``s_start`` to ``s_edge``, in equal ratios ≤ ``ratio``."""
    if s_start >= s_edge:
        return [s_edge]
    steps = math.ceil(math.log(s_edge / s_start) / math.log(ratio))
    return [s_start * (s_edge / s_start) ** (i / steps) for i in range(steps)] + [s_edge]
