"""Mode ``amortised``: the start, in which encoder and implicit decoder learn from nothing.

Steps of :mod:`xrai.rounds.wake` follow one another until the volume explains a probe of the
patterns, or explains it no better than before. Where neither comes, another start is made and the
likeliest kept.

A particle of a point group starts with a search (:mod:`xrai.rounds.start`): a start of this kind
takes the volume with the opposite sign of its angular part, or one between, for the particle's.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from xrai.encoder import Encoder
from xrai.poses.cells import CellProposals
from xrai.poses.finder import PoseFinder
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.refine import refine
from xrai.rounds.encoder_training import pixels_of
from xrai.rounds.photons import require_photons
from xrai.rounds.start import fresh_decoder, scaled
from xrai.rounds.wake import Draws, WakeStep
from xrai.state.monitor import Monitor
from xraisim.core.finite import require_finite
from xraisim.core.random import generator
from xraisim.core.types import Photons, Pixels, Volume

_JUDGED_EVERY = 50  # steps
_PROBE = 512  # patterns by which it is
_INPUT_PATTERNS = 4096  # that set the scale of the input and the radial profile
_TELLING = 1000.0  # photons of a pattern that count before a start may end
_SHARP = 10.0  # times the logarithm of all cells: so many nats won leave one cell possible
_SHARP_TOLERANCE = 0.3  # takes the place of ``tolerance`` then
_BETAS = (0.9, 0.99)  # of Adam
_EPS = 1e-5  # of Adam: gradients that are rounding alone must not take whole steps
_REFINE = 3  # Newton steps of a probe


@dataclass(frozen=True)
class Start:
    """A volume, the encoder that sees it, and how well they fit a probe.

    ``trainer``: the encoder's weights, its optimiser and steps, to go on from;
    ``unexplained``: the share of the probe's variation (median); ``loglik``: nats per pattern.
    """

    volume: Volume
    trainer: dict[str, Any]
    unexplained: float
    loglik: float
    settled: bool


def amortised_start(finder: PoseFinder, monitor: Monitor) -> Start:
    """Return the first start that settles, else the likeliest.

    Raises :class:`UserError` where there are no photons to go by, :class:`DivergedError` for a loss
    that is not finite.
    """
    config, stream = finder.config.amortised, finder.stream
    pixels = finder.pixels_within(min(config.reach / stream.diameter_angstrom, finder.s_edge))
    blocks = list(stream.blocks(0, stream.wait_for(config.buffer)))
    require_photons(blocks, finder.sets, len(pixels))
    lit = [photons.take(photons.lit(len(pixels))) for _, photons in blocks]
    width = max(len(pixels), len(pixels_of(finder)))
    counts = torch.cat([_compact(photons.dense(width)) for photons in lit]).to(finder.device)
    some = next(photons for photons in lit if len(photons))
    best: Start | None = None
    for restart in range(config.restarts):
        start = _Attempt(finder, counts, some, pixels, restart).run(monitor)
        if best is None or start.settled or start.loglik > best.loglik:
            best = start
        if start.settled:
            break
    assert best is not None
    return best


def _compact(counts: Tensor) -> Tensor:
    """Return whole counts in as few bytes as they need."""
    most = float(counts.max()) if counts.numel() else 0.0
    small = torch.uint8 if most <= 255 else torch.int16 if most < 2**15 else torch.float32
    return counts.to(small)


class _Attempt:
    """One start from one set of random weights."""

    def __init__(
        self, finder: PoseFinder, counts: Tensor, some: Photons, pixels: Pixels, restart: int
    ) -> None:
        self.finder, self.config, self.pixels = finder, finder.config.amortised, pixels
        self._counts, self._some, self._name = counts, some, f"start/{restart}"
        self._restart, self._steps = restart, 0
        first = counts[:_INPUT_PATTERNS].float()
        mean = first[:, : len(pixels)].mean(0)
        decoder = fresh_decoder(finder, finder.config.decoder, mean, pixels, self._name)
        encoder = self._encoder(first)
        self._step = WakeStep(encoder, decoder, pixels, self.config)
        self._model = finder.processes.parallel(self._step)
        self._optimizers = [
            torch.optim.Adam(
                network.parameters(), lr=self.config.learning_rate, betas=_BETAS, eps=_EPS
            )
            for network in (encoder, decoder)
        ]
        self._cold = self.config.cold_photons / max(float(first.sum(1).mean()), 1.0)

    def run(self, monitor: Monitor) -> Start:
        """Take steps until the volume explains a probe, or explains it no better than before."""
        most, judged = self.config.steps, [self._judge(monitor).loglik]
        title = f"start {self._restart + 1} of {self.config.restarts}"
        with monitor.progress(title, most) as advance:
            while True:
                loss = self._take_step()
                advance(1, f"loss {loss:.4f}  β {self._beta:.3f}")
                if self._steps % _JUDGED_EVERY and self._steps < most:
                    continue
                start = self._judge(monitor)
                judged.append(start.loglik)
                if self._steps >= most or self._has_converged(judged, start.settled):
                    return start

    def _has_converged(self, judged: list[float], settled: bool) -> bool:
        """Whether the last quarter of the steps brought little of what all have brought.

        Not before β lets enough photons count, or all of them. Where patterns tell their cell
        beyond doubt, the rounds improve the volume for less than further steps do.
        """
        counted = self.config.cold_photons * self._beta / self._cold
        if self._beta < 1 and counted < _TELLING:
            return False
        latest, earlier = judged[-1], judged[(len(judged) - 1) * 3 // 4]
        won, cells = latest - judged[0], len(self._step.encoder.cells.grid)
        sharp = settled and won > _SHARP * math.log(cells)
        return latest - earlier < (_SHARP_TOLERANCE if sharp else self.config.tolerance) * won

    @property
    def _beta(self) -> float:
        return min(1.0, self._cold * self.config.growth**self._steps)

    def _take_step(self) -> float:
        finder, size = self.finder, min(self.config.batch, len(self._counts))
        random = generator(finder.config.seed, f"{self._name}/{self._steps}", finder.device)
        rows = torch.randint(len(self._counts), (size,), generator=random, device=finder.device)
        draws = Draws.of(size, self.config.candidates, random)
        mine = finder.processes.share(size)
        loss = self._model(self._counts[rows[mine]].float(), self._beta, draws.share(mine))
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self._optimizers:
            optimizer.step()
        self._steps += 1
        value = float(loss.detach())
        require_finite(f"the loss in step {self._steps} of {self._name}", value)
        return value

    @torch.no_grad()
    def _judge(self, monitor: Monitor) -> Start:
        """Judge the volume by a probe at refined poses, which no cells limit."""
        finder, encoder = self.finder, self._step.encoder
        volume = self._step.decoder.volume()
        probe = self._some.take(np.arange(min(_PROBE, len(self._some))))
        cells = CellProposals(volume, self.pixels, encoder, pixels_of(finder))
        likelihood = PoseLikelihood(volume, self.pixels, probe)
        steps = finder.steps(float(self.pixels.radius[-1]), _REFINE)
        poses = refine(likelihood, cells.best(probe, 1)[:, 0].contiguous(), steps)
        fit = likelihood.goodness(poses.quaternion)
        if self.pixels.has_background:
            volume = scaled(volume, finder.processes.agreed(float(fit.fluence.mean())))
        unexplained = finder.processes.agreed(float(fit.unexplained.median()))
        loglik = finder.processes.agreed(float(poses.loglik.mean()))
        settled = unexplained < self.config.settled
        monitor.log(
            "start", restart=self._restart, step=self._steps, beta=self._beta,
            loglik_per_pattern=loglik, unexplained=unexplained, settled=int(settled),
        )  # fmt: skip
        trainer = {
            "encoder": encoder.state_dict(),
            "optimizer": self._optimizers[0].state_dict(),
            "steps": self._steps,
        }
        return Start(volume, trainer, unexplained, loglik, settled)

    def _encoder(self, counts: Float[Tensor, "n P"]) -> Encoder:
        finder, pixels = self.finder, pixels_of(self.finder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(finder.config.seed + self._restart)
            encoder = Encoder(pixels.to("cpu"), finder.config.network)
        encoder.to(finder.device)
        encoder.pattern.calibrate(counts[:, : len(pixels)], float(self.pixels.radius[-1]))
        finder.processes.agree(*encoder.pattern.calibration)
        return encoder
