"""Mode ``paper``: encoder and implicit decoder trained together, as published, and nothing else.

One S²×S² head proposes the pose, the decoder predicts the pattern there, and the gradient of the
likelihood reaches the encoder through the slice alone (Shenoy et al. 2025). The symmetric loss
(Levy et al. 2022, cryoAI) looks at each pattern and at its copy turned by 180° in the detector's
plane, and counts the better of the two: a lone head cannot follow the near-symmetry otherwise. No
search, no refinement of poses. Both networks may start several times, and coarse to fine.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.decoder import ImplicitDecoder, radial_profile
from xrai.decoder.config import DecoderConfig
from xrai.encoder.config import EndToEndConfig
from xrai.encoder.image import ImageEncoder
from xrai.rounds.photons import require_photons
from xrai.sources.stream import PatternStream
from xrai.state.monitor import Monitor
from xraisim.core import rotations
from xraisim.core.finite import require_finite
from xraisim.core.likelihood import photon_nll
from xraisim.core.random import generator
from xraisim.core.types import Pixels

_INPUT_PATTERNS = 4096  # that set the scale of the input and the radial profile
_SEED_BITS = 32  # of a run's seed; a start's number stands above them


class EndToEnd:
    """Both networks and their optimiser; they learn in passes over the patterns.

    ``passes``: how many there were; ``nll_per_photon``: the mean loss in the last.
    After the same number of passes it is the same, whether or not it was interrupted between them.
    """

    def __init__(
        self,
        stream: PatternStream,
        config: EndToEndConfig,
        device: torch.device,
        *,
        decoder: DecoderConfig | None = None,
        seed: int = 0,
    ) -> None:
        """Make untrained networks; raises :class:`SamplingError` without photons to go by."""
        self.config, self.passes, self.nll_per_photon = config, 0, math.inf
        self._stream, self._device = stream, device
        diameter, whole = stream.diameter_angstrom, stream.pixels
        inner = whole.first(max(1, whole.count_below(config.reach / diameter)))
        blocks = list(stream.blocks(0, min(len(stream), _INPUT_PATTERNS)))
        require_photons(blocks, 1, len(inner))
        counts = torch.cat([photons.dense(len(inner)) for _, photons in blocks])
        counts = counts[counts.sum(1) > 0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = ImageEncoder(inner, config.channels)
        self.encoder.image.calibrate(counts)
        # Half the time of the other order on a CPU.
        last = torch.channels_last
        self.encoder.to(device).to(memory_format=last)  # type: ignore[call-overload]
        settings = decoder or DecoderConfig()
        self.decoder = _decoder(counts, inner, diameter, settings, seed).to(device)
        self.pixels = inner.to(device)
        self._rates = config.learning_rate, settings.learning_rate
        self._optimizer = torch.optim.Adam(
            [{"params": one.parameters()} for one in (self.encoder, self.decoder)]
        )

    def one_pass(self, monitor: Monitor) -> Float[Tensor, "N 4"]:
        """Learn from every pattern once; return the encoder's poses of all, on the CPU.

        Patterns without photons have no pose (NaN). Logs an event ``end_to_end``: the loss per
        photon, and how far apart the poses of the patterns are (a collapsed encoder gives all the
        same). Raises :class:`DivergedError` for a loss that is not finite.
        """
        title = f"pass {self.passes + 1} of {self.config.epochs}"
        losses = self.learn(len(self._stream), title, monitor)
        self.passes, self.nll_per_photon = self.passes + 1, float(losses.mean())
        quaternions = self.poses()
        monitor.log(
            "end_to_end",
            number=self.passes,
            nll_per_photon=self.nll_per_photon,
            pose_spread=spread(quaternions[quaternions.isfinite().all(1)]),
        )
        return quaternions

    def learn(self, patterns: int, title: str, monitor: Monitor) -> Float[Tensor, "seen"]:
        """Learn from the first ``patterns`` of the stream; return the loss per photon of each.

        That of its batch, on the CPU; patterns without photons are left out.
        """
        losses: list[Tensor] = []
        seen = 0
        with monitor.progress(title, patterns) as advance:
            for _, photons in self._stream.blocks(0, patterns):
                lit = photons.take(photons.lit(len(self.pixels)))
                counts = lit.dense(len(self.pixels)).to(self._device)
                for batch in counts.split(self.config.batch):
                    loss = self.step(batch, self.passes + seen / len(self._stream))
                    where = f"after {seen:,} patterns of pass {self.passes + 1}"
                    require_finite(f"the loss {where}", loss)
                    seen += len(batch)
                    losses.append(torch.full((len(batch),), loss, dtype=torch.float64))
                    advance(len(batch), f"nll/photon {loss:.4f}")
                advance(len(photons) - len(lit))
        return torch.cat(losses)

    def step(self, counts: Float[Tensor, "n P"], passes: float) -> float:
        """Take one step, when so many passes are behind; return the loss per photon.

        The learning rates fall to zero along a cosine, and the reach of the loss grows.
        """
        inner = self.pixels.first(self._within_reach(passes))
        loss = symmetric_loss(self.encoder, self.decoder, inner, counts).mean()
        falling = (1 + math.cos(math.pi * passes / self.config.epochs)) / 2
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * falling
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return float(loss.detach())

    def _within_reach(self, passes: float) -> int:
        """Return how many pixels the loss looks at, when so many passes are behind."""
        first, last = self.config.first_reach, self.config.reach
        grown = min(1.0, 2 * passes / self.config.epochs)
        if first == 0 or grown == 1:
            return len(self.pixels)
        reach = (first + grown * (last - first)) / self._stream.diameter_angstrom
        return max(1, self.pixels.count_below(reach))

    def poses(self) -> Float[Tensor, "N 4"]:
        """Return the encoder's poses, on the CPU; NaN where there are no photons."""
        found = []
        for _, photons in self._stream.blocks():
            counts = photons.dense(len(self.pixels)).to(self._device)
            poses = self.encoder.propose(counts)[0][:, 0]
            found.append(torch.where(counts.sum(1, keepdim=True) > 0, poses, torch.nan).cpu())
        return torch.cat(found)

    def state_dict(self) -> dict[str, Any]:
        """Return all that further passes need."""
        parts = {name: getattr(self, name).state_dict() for name in ("encoder", "decoder")}
        return {**parts, "optimizer": self._optimizer.state_dict(), "passes": self.passes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where ``state`` was taken."""
        self.encoder.load_state_dict(state["encoder"])
        self.decoder.load_state_dict(state["decoder"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.passes = state["passes"]


def likeliest_start(
    stream: PatternStream,
    config: EndToEndConfig,
    device: torch.device,
    monitor: Monitor,
    *,
    decoder: DecoderConfig | None = None,
    seed: int = 0,
) -> EndToEnd:
    """Return those of ``config.restarts`` networks that explain the patterns best after a while.

    By their mean loss over the last quarter of ``config.restart_patterns`` patterns. A lone start
    is returned as it is, untried. Logs an event ``start`` for each.
    """

    def start(number: int) -> EndToEnd:
        other = seed + (number << _SEED_BITS)
        return EndToEnd(stream, config, device, decoder=decoder, seed=other)

    if config.restarts == 1:
        return start(0)
    tried: list[tuple[float, int, EndToEnd]] = []
    for number in range(config.restarts):
        learner = start(number)
        title = f"start {number + 1} of {config.restarts}"
        losses = learner.learn(min(config.restart_patterns, len(stream)), title, monitor)
        nll = float(losses[-max(1, len(losses) // 4) :].mean())
        monitor.log("start", restart=number, nll_per_photon=nll)
        tried.append((nll, number, learner))
    return min(tried)[-1]


def symmetric_loss(
    encoder: ImageEncoder,
    decoder: ImplicitDecoder,
    pixels: Pixels,
    counts: Float[Tensor, "n P"],
) -> Float[Tensor, "n"]:
    """Return the smaller loss per photon of each pattern and of its copy turned by 180°.

    ``pixels``: the innermost of those counted, at which both are compared with the counts. A copy
    seen at R is the pattern itself seen at Rz(180°)·R, so that it is compared as measured.
    """
    image = encoder.image(counts)
    heads, _ = encoder(torch.cat([image, image.flip(-1, -2)]))
    upright, turned = heads[:, 0].chunk(2)
    turned = turned * turned.new_tensor([-1.0, -1.0, 1.0])[:, None]
    rotation = torch.cat([upright, turned])
    cut = decoder(rotation, pixels.s)
    compared = counts[:, : len(pixels)].repeat(2, 1)
    loss = photon_nll(compared, cut * pixels.gain, pixels.background)
    return torch.minimum(*loss.chunk(2))


def spread(quaternion: Float[Tensor, "N 4"]) -> float:
    """Return how evenly poses fill SO(3): 0 if all are the same, 1 if uniform.

    The spread of view and in-plane axes: 1 − |mean rotation matrix|²/3, in the Frobenius norm.
    """
    mean = rotations.to_matrix(quaternion).mean(0)
    return 1 - float(mean.square().sum()) / 3


def _decoder(
    counts: Tensor, pixels: Pixels, diameter: float, config: DecoderConfig, seed: int
) -> ImplicitDecoder:
    s_max = float(pixels.radius[-1])
    shells = math.ceil(s_max * diameter * config.oversampling) + 3
    spacing = 1 / (config.oversampling * diameter)
    profile = radial_profile(counts.mean(0), pixels, spacing, shells)
    return ImplicitDecoder(config, diameter, s_max, profile, generator(seed, "end_to_end/decoder"))
