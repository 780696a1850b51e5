"""Mode ``paper``: encoder and implicit decoder trained together, as published, and nothing else.

One S²×S² head proposes the pose, the decoder predicts the pattern there, and the gradient of the
likelihood reaches the encoder through the slice alone (Shenoy et al. 2025). The symmetric loss
(Levy et al. 2022, cryoAI) looks at each pattern and at its copy turned by 180° in the detector's
plane, and counts the better of the two: a lone head cannot follow the near-symmetry otherwise. No
search, no refinement of poses.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.config import DecoderConfig
from xrai.decoder import ImplicitDecoder, radial_profile
from xrai.encoder.config import EndToEndConfig
from xrai.encoder.image import ImageEncoder
from xrai.losses import photon_nll
from xrai.monitor import Monitor
from xrai.sanity import require_finite, require_photons
from xrai.stream import PatternStream
from xraisim.core import rotations
from xraisim.core.random import generator
from xraisim.core.types import Pixels, Volume

_INPUT_PATTERNS = 4096  # that set the scale of the input and the radial profile


def end_to_end(
    stream: PatternStream,
    config: EndToEndConfig,
    device: torch.device,
    monitor: Monitor,
    *,
    decoder: DecoderConfig | None = None,
    seed: int = 0,
) -> tuple[Volume, Float[Tensor, "N 4"], dict[str, Tensor]]:
    """Return the volume, the encoder's pose of every pattern, and the encoder's weights.

    Patterns without photons have no pose (NaN). Raises :class:`SamplingError` where there are no
    photons to go by, :class:`DivergedError` for a loss that is not finite.

    Logs an event ``end_to_end`` per pass: the loss per photon, and how far apart the poses of the
    patterns are (a collapsed encoder gives all the same).
    """
    model = _Model(stream, config, decoder or DecoderConfig(), device, seed)
    for epoch in range(config.epochs):
        with monitor.progress(f"pass {epoch + 1} of {config.epochs}", len(stream)) as advance:
            total, seen = 0.0, 0
            for _, photons in stream.blocks():
                lit = photons.take(photons.lit(len(model.pixels)))
                counts = lit.dense(len(model.pixels)).to(device)
                for batch in counts.split(config.batch):
                    loss = model.step(batch)
                    require_finite(f"the loss after {seen:,} patterns of pass {epoch + 1}", loss)
                    total, seen = total + loss * len(batch), seen + len(batch)
                    advance(len(batch), f"nll/photon {loss:.4f}")
                advance(len(photons) - len(lit))
        quaternions = model.poses(stream)
        monitor.log(
            "end_to_end",
            number=epoch + 1,
            nll_per_photon=total / seen,
            pose_spread=spread(quaternions[quaternions.isfinite().all(1)]),
        )
    return model.decoder.volume(), quaternions, model.encoder.state_dict()


class _Model:
    """Both networks and their optimiser."""

    def __init__(
        self,
        stream: PatternStream,
        config: EndToEndConfig,
        decoder: DecoderConfig,
        device: torch.device,
        seed: int,
    ) -> None:
        diameter = stream.diameter_angstrom
        whole = stream.pixels
        inner = whole.first(max(1, whole.count_below(config.reach / diameter)))
        blocks = list(stream.blocks(0, min(len(stream), _INPUT_PATTERNS)))
        require_photons(blocks, 1, len(inner))
        counts = torch.cat([photons.dense(len(inner)) for _, photons in blocks])
        counts = counts[counts.sum(1) > 0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = ImageEncoder(inner, config.channels)
        self.encoder.image.calibrate(counts)
        self.encoder.to(device)
        self.decoder = _decoder(counts, inner, diameter, decoder, seed).to(device)
        self.pixels = inner.to(device)
        weights = [*self.encoder.parameters(), *self.decoder.parameters()]
        self._optimizer = torch.optim.Adam(weights, lr=config.learning_rate)
        self._device = device

    def step(self, counts: Float[Tensor, "n P"]) -> float:
        """Take one step; return the loss per photon."""
        loss = symmetric_loss(self.encoder, self.decoder, self.pixels, counts).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return float(loss.detach())

    def poses(self, stream: PatternStream) -> Float[Tensor, "N 4"]:
        """Return the encoder's poses, on the CPU; NaN where there are no photons."""
        found = []
        for _, photons in stream.blocks():
            counts = photons.dense(len(self.pixels)).to(self._device)
            poses = self.encoder.propose(counts)[0][:, 0]
            found.append(torch.where(counts.sum(1, keepdim=True) > 0, poses, torch.nan).cpu())
        return torch.cat(found)


def symmetric_loss(
    encoder: ImageEncoder,
    decoder: ImplicitDecoder,
    pixels: Pixels,
    counts: Float[Tensor, "n P"],
) -> Float[Tensor, "n"]:
    """Return the smaller loss per photon of each pattern and of its copy turned by 180°.

    A copy seen at R is the pattern itself seen at Rz(180°)·R, so that both are compared with the
    counts as measured.
    """
    image = encoder.image(counts)
    heads, _ = encoder(torch.cat([image, image.flip(-1, -2)]))
    upright, turned = heads[:, 0].chunk(2)
    turned = turned * turned.new_tensor([-1.0, -1.0, 1.0])[:, None]
    rotation = torch.cat([upright, turned])
    cut = decoder(rotation, pixels.s)
    loss = photon_nll(counts.repeat(2, 1), cut * pixels.gain, pixels.background)
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
