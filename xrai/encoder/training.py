"""Training of the encoder while a reconstruction runs, a little after every round.

The search says what is right: measured patterns carry the poses it found, and the volume it led to
yields any number of synthesised patterns whose poses are known.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.encoder import Encoder, EncoderConfig
from xrai.encoder.loss import PosteriorLoss
from xraisim.console import Advance
from xraisim.core import rotations, so3
from xraisim.core.errors import UserError
from xraisim.core.finite import require_finite
from xraisim.core.processes import ALONE, Processes
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Pixels, Volume

_SHARES = 8  # of a batch, each with random numbers of its own, for up to as many processes
_WARM_UP = 20  # steps
_INPUT_PATTERNS = 4096  # that set the scale of the input
_ERROR_PATTERNS = 1024  # that calibrate the stated error


class EncoderTrainer:
    """An encoder, its optimiser and schedule; it learns in increments that may be interrupted.

    Step i draws its batch from (seed, i) alone, so the number of finished steps is the whole random
    state, and several processes learn shares of the batch that one process would learn alone; torch
    averages their gradients (``DistributedDataParallel``). ``pixels``: those within the encoder's
    reach (:func:`encoder_pixels`), on any device; ``group``: the particle's point group.
    """

    def __init__(
        self,
        pixels: Pixels,
        config: EncoderConfig,
        seed: int,
        device: str | torch.device = "cpu",
        processes: Processes = ALONE,
        group: Float[Tensor, "m 4"] | None = None,
    ) -> None:
        self.config, self.steps = config, 0
        self._seed, self._device, self._processes = seed, torch.device(device), processes
        # Initial weights come from torch's global generator: fork it, so that nothing else notices.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = Encoder(pixels.to("cpu"), config, group).to(device)
        self._loss = processes.parallel(PosteriorLoss(self.encoder))
        self._optimizer = torch.optim.Adam(self.encoder.parameters(), betas=(0.9, 0.99))

    def learn(
        self,
        volume: Volume,
        pixels: Pixels,
        counts: Float[Tensor, "n P"],
        quaternions: Float[Tensor, "n 4"],
        fluence: Float[Tensor, "n"],
        steps: int,
        advance: Advance | None = None,
    ) -> float:
        """Take ``steps`` steps on measured and synthesised patterns; return their mean loss (nat).

        ``counts``: measured patterns on the encoder's ``pixels``, with their searched poses and
        relative fluences; all on the trainer's device. ``volume`` may end before the encoder's
        reach: rings beyond it are not looked at.
        """
        reach = min((volume.grid // 2 - 1) * volume.spacing, float(pixels.radius[-1]))
        limit = float(torch.tensor(reach))  # as the encoder keeps it
        inner = pixels.first(pixels.count_below(limit))
        if self.steps == 0 or limit != float(self.encoder.pattern.limit):
            self.encoder.pattern.calibrate(counts[:_INPUT_PATTERNS], limit)
            self._processes.agree(*self.encoder.pattern.calibration)
        synthesise = Synthesis(volume, inner, len(pixels), fluence)
        total = 0.0
        for _ in range(steps):
            loss = self._step(*self._batch(synthesise, counts, quaternions))
            require_finite(f"the encoder's loss in step {self.steps}", loss)
            total += loss
            if advance is not None:
                advance(1)
        self._calibrate_error(synthesise)
        return total / max(steps, 1)

    def _batch(
        self, synthesise: "Synthesis", counts: Tensor, quaternions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return counts and poses of this process's shares of the step's batch."""
        shares, batch, patterns, poses = self._shares(), self.config.batch, [], []
        for share in range(self._processes.rank, shares, self._processes.count):
            rows = batch * (share + 1) // shares - batch * share // shares
            made = round(rows * self.config.synthetic)
            random = generator(self._seed, f"teach/{self.steps}/{share}", self._device)
            drawn = torch.randint(
                len(counts), (rows - made,), generator=random, device=self._device
            )
            made_up, at = synthesise(made, random)
            patterns += [counts[drawn], made_up]
            poses += [quaternions[drawn], at]
        return torch.cat(patterns), torch.cat(poses)

    def _shares(self) -> int:
        return max(_SHARES, self._processes.count)

    def _step(self, counts: Tensor, poses: Tensor) -> float:
        rate = self.config.learning_rate * min(1.0, (self.steps + 1) / _WARM_UP)
        rate *= math.sqrt(min(1.0, self.config.hold / (self.steps + 1)))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        # DDP divides the sum of all gradients by the number of processes, shares may be uneven.
        weight = self._processes.count * len(counts) / self.config.batch
        loss = self._loss(counts, poses)
        self._optimizer.zero_grad()
        (weight * loss).backward()
        self._optimizer.step()
        self.steps += 1
        whole = (loss.detach() * (len(counts) / self.config.batch)).reshape(1)
        self._processes.sum(whole)
        return float(whole)

    def _calibrate_error(self, synthesise: "Synthesis") -> None:
        random = generator(self._seed, f"teach/{self.steps}/error", self._device)
        self.encoder.calibrate_error(*synthesise(_ERROR_PATTERNS, random))
        self._processes.agree(self.encoder.score_knots, self.encoder.error_knots)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a continued trainer needs: weights, optimiser, finished steps."""
        return {
            "encoder": self.encoder.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the trainer of ``state`` stood; raises :class:`UserError` as ``load``."""
        load(self.encoder, state["encoder"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]


class Synthesis:
    """Draws patterns of a volume at random poses, with the measured fluences and background."""

    def __init__(self, volume: Volume, pixels: Pixels, width: int, fluence: Tensor) -> None:
        self._volume, self._pixels, self._width, self._fluence = volume, pixels, width, fluence

    def __call__(self, size: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return counts [size, width], zero beyond the volume's pixels, and quaternions."""
        volume, pixels = self._volume, self._pixels
        pose = so3.haar(size, random)
        device = pose.device
        drawn = torch.randint(len(self._fluence), (size,), generator=random, device=device)
        cut = slice_volume(volume.values, rotations.to_matrix(pose), pixels.s, volume.spacing)
        rate = cut * pixels.gain * self._fluence[drawn, None] + pixels.background
        counts = torch.zeros(size, self._width, device=device)
        counts[:, : len(pixels)] = torch.poisson(rate.clamp_min(0), generator=random)
        return counts, pose


def encoder_pixels(pixels: Pixels, diameter_angstrom: float, config: EncoderConfig) -> Pixels:
    """Return the pixels within the encoder's reach."""
    return pixels.first(max(1, pixels.count_below(config.reach / diameter_angstrom)))


def load(encoder: Encoder, weights: dict[str, Tensor]) -> None:
    """Give the encoder the weights of a run; raises :class:`UserError` for another detector's."""
    kept, mine = weights.get("pattern.exposure"), encoder.pattern.exposure
    # Detectors are compared by what their pixels add to every cell.
    if kept is None or kept.shape != mine.shape or not torch.allclose(kept.to(mine), mine, 1e-4):
        raise UserError(
            "these patterns come from another detector geometry, mask or beam than the run's, so "
            "its encoder cannot read them; train a run on them"
        )
    encoder.load_state_dict(weights)
