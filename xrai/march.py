"""From rough poses to fine ones: refine, merge, look a little farther out, again.

A pose refined to |s| reaches the right speckle a little beyond s; merging then sharpens the volume
there, and the next epoch uses it. So the resolution marches outwards in small geometric steps.
"""

import math

import torch

from xrai.checkpoint import State
from xrai.config import TrainConfig
from xrai.monitor import Monitor
from xrai.poses import GridSearch, Poses, refine, refine_hypotheses, refine_mates
from xrai.stream import PatternStream
from xraisim.core import rotations
from xraisim.core.likelihood import candidate_loglik
from xraisim.core.merge import Accumulator, intensity_grid
from xraisim.core.random import generator
from xraisim.core.types import Photons, Pixels, Volume


def ladder(s_start: float, s_edge: float, ratio: float) -> list[float]:
    """Return |s| limits (Å⁻¹) from ``s_start`` to ``s_edge``, in equal ratios ≤ ``ratio``."""
    if s_start >= s_edge:
        return [s_edge]
    steps = math.ceil(math.log(s_edge / s_start) / math.log(ratio))
    return [s_start * (s_edge / s_start) ** (i / steps) for i in range(steps)] + [s_edge]


def limits(stream: PatternStream, config: TrainConfig) -> list[float]:
    """Return the |s| limit of every epoch: the march, then the final ones at the edge."""
    edge = float(stream.pixels.radius[-1])
    rungs = ladder(config.search.reach / stream.diameter_angstrom, edge, config.refine.ratio)
    return rungs + [edge] * (config.refine.final_epochs - 1)


class March:
    """The steps of the march over one stream of patterns."""

    def __init__(self, stream: PatternStream, config: TrainConfig, device: torch.device) -> None:
        self.stream, self.config, self.device = stream, config, device
        self.pixels = stream.pixels.to(device)

    def pixels_within(self, s_max: float) -> Pixels:
        """Return the pixels to the limit ``s_max`` (Å⁻¹)."""
        return self.pixels.first(self.pixels.count_below(s_max * (1 + 1e-6)))

    def max_step(self, s_max: float) -> float:
        """Return the longest Newton step in radians at a resolution limit."""
        return self.config.refine.max_step / (s_max * self.stream.diameter_angstrom)

    def search(self, state: State, monitor: Monitor) -> None:
        """Give every pattern its first pose: exhaustive search, the best hypotheses refined."""
        volume, s_max = state.require_volume(), self._search_limit()
        grid = self._grid(volume, s_max, "search")
        with monitor.progress("search", len(self.stream)) as advance:
            for rows, photons in self.stream.blocks():
                self._store(state, rows, self._hypotheses(grid, volume, photons, s_max))
                advance(len(photons))

    def _search_limit(self) -> float:
        return min(
            self.config.search.reach / self.stream.diameter_angstrom,
            float(self.pixels.radius[-1]),
        )

    def _grid(self, volume: Volume, s_max: float, stream: str) -> GridSearch:
        random = generator(self.config.seed, stream, self.device)
        return GridSearch(volume, self.pixels_within(s_max), self.config.search.rotations, random)

    def _hypotheses(
        self, grid: GridSearch, volume: Volume, photons: Photons, s_max: float
    ) -> Poses:
        hypotheses = grid.best(photons, self.config.search.hypotheses)
        pixels = self.pixels_within(s_max)
        return refine_hypotheses(volume, pixels, photons, hypotheses, 3, self.max_step(s_max))

    def descend(self, volume: Volume, photons: Photons, poses: Poses, limits: list[float]) -> Poses:
        """Refine poses through rising resolution limits against a finished volume."""
        for s_max in limits:
            poses = refine(
                volume,
                self.pixels_within(s_max),
                photons,
                poses.quaternion,
                self.config.refine.iterations,
                self.max_step(s_max),
            )
        return poses

    def locate(self, volume: Volume, photons: Photons, grid: GridSearch, s_max: float) -> Poses:
        """Find poses from nothing, to the resolution ``s_max``: search, then descend."""
        low = self._search_limit()
        poses = self._hypotheses(grid, volume, photons, low)
        return self.descend(volume, photons, poses, ladder(low, s_max, 1.4)[1:])

    def epoch(
        self, state: State, number: int, s_now: float, s_next: float, monitor: Monitor
    ) -> None:
        """Refine every pose to ``s_now``, then merge all patterns to ``s_next``."""
        volume, options = state.require_volume(), self.config.refine
        pixels, step = self.pixels_within(s_now), self.max_step(s_now)
        try_mates = number % options.mates_every == options.mates_every - 1
        sums = self._empty(s_next)
        before = state.orientations.clone()
        with monitor.progress(f"refine to {1 / s_now:.1f} Å", len(self.stream)) as advance:
            for rows, photons in self.stream.blocks():
                start = state.orientations[rows].to(self.device)
                arguments = (volume, pixels, photons)
                poses = refine(*arguments, start, options.iterations, step)
                if try_mates:
                    mates = refine_mates(*arguments, poses, options.iterations, step)
                    poses = poses.better(mates)
                self._store(state, rows, poses)
                self._merge(sums, state, rows, photons, volume, s_now, s_next)
                advance(len(photons))
        self._finish(state, sums, slice(None))
        turned = torch.rad2deg(rotations.angle_between(before, state.orientations))
        self._log(state, monitor, s_now, slice(None), turned_deg_median=float(turned.median()))

    def chunk(
        self, state: State, number: int, rows: slice, s_now: float, s_next: float, monitor: Monitor
    ) -> None:
        """Single pass: locate the patterns ``rows`` from nothing, then merge them alone."""
        volume = state.require_volume()
        grid = self._grid(volume, self._search_limit(), f"pass/{number}")
        sums = self._empty(s_next)
        with monitor.progress(f"pass to {1 / s_now:.1f} Å", rows.stop - rows.start) as advance:
            for block, photons in self.stream.blocks(rows.start, rows.stop):
                self._store(state, block, self.locate(volume, photons, grid, s_now))
                self._merge(sums, state, block, photons, volume, s_now, s_next)
                advance(len(photons))
        self._finish(state, sums, rows)
        self._log(state, monitor, s_now, rows)

    def _empty(self, s_max: float) -> Accumulator:
        oversampling = self.config.refine.oversampling
        grid, spacing = intensity_grid(s_max, self.stream.diameter_angstrom, oversampling)
        return Accumulator.empty(grid, spacing, self.device)

    def _store(self, state: State, rows: slice, poses: Poses) -> None:
        state.orientations[rows] = poses.quaternion.cpu()
        state.loglik[rows] = poses.loglik.cpu()

    def _merge(
        self,
        sums: Accumulator,
        state: State,
        rows: slice,
        photons: Photons,
        volume: Volume,
        s_now: float,
        s_next: float,
    ) -> None:
        """Add a block at its new poses, with the fluences that the current volume gives."""
        poses = state.orientations[rows].to(self.device)
        _, fluence = candidate_loglik(
            volume, self.pixels_within(s_now), photons, poses[:, None].contiguous()
        )
        state.fluence[rows] = fluence[:, 0].float().cpu()
        sums.add(self.pixels_within(s_next), photons, poses, fluence[:, 0].float(), volume)

    def _finish(self, state: State, sums: Accumulator, rows: slice) -> None:
        """Divide, and fix the scale so that the mean fluence is one (they trade off exactly)."""
        mean = float(state.fluence[rows].mean())
        merged = sums.volume(self.config.refine.prior)
        state.volume = Volume(values=merged.values * mean, spacing=merged.spacing, kind=merged.kind)
        state.fluence[rows] /= mean

    def _log(
        self, state: State, monitor: Monitor, s_now: float, rows: slice, **more: float
    ) -> None:
        monitor.log(
            "refine",
            d_min_angstrom=1 / s_now,
            patterns=len(state.loglik[rows]),
            loglik_per_pattern=float(state.loglik[rows].mean()),
            fluence_spread=float(state.fluence[rows].std()),
            **more,
        )
