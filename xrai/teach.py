"""Teach the encoder, then let it propose: amortised poses, checked by the exact likelihood.

The search is the teacher: measured patterns carry the poses it found, and the volume it led to
yields any number of synthesised patterns whose poses are known.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.checkpoint import State
from xrai.encoder import Encoder
from xrai.losses import encoder_loss
from xrai.march import March
from xrai.monitor import Monitor
from xrai.poses import Poses, angle_modulo_mate, prune, refine
from xrai.rounds import ladder
from xraisim.core import rotations, so3
from xraisim.core.errors import UserError
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Photons, Pixels, Volume

_FAR = 1.0  # proposals farther than this from the pose held, in 1/(s·D) rad, are worth refining


class Lesson:
    """Batches of (counts, rotation matrix) for the encoder, measured and synthesised."""

    def __init__(self, march: March, state: State, s_max: float) -> None:
        config = march.config
        self.pixels = march.pixels_within(s_max)
        self._volume = state.require_volume()
        self._random = generator(config.seed, "teach", march.device)
        rows = min(len(march.stream), config.start.buffer)
        blocks = march.stream.blocks(0, rows)
        self.counts = torch.cat([photons.dense(len(self.pixels)) for _, photons in blocks])
        self.counts = self.counts.to(march.device)
        self._poses = state.columns["orientations"][:rows].to(march.device)
        self._fluence = state.columns["fluence"][:rows].to(march.device)

    def batch(self, size: int, synthetic: float) -> tuple[Tensor, Tensor]:
        """Return counts [n, P] and the rotation matrices [n, 3, 3] to learn."""
        made = round(size * synthetic)
        drawn = self._draw(size - made)
        counts, matrix = self.counts[drawn], rotations.to_matrix(self._poses[drawn])
        synthesised, poses = self._synthesise(made)
        return torch.cat([counts, synthesised]), torch.cat([matrix, poses])

    def _draw(self, size: int) -> Tensor:
        device = self.counts.device
        return torch.randint(len(self.counts), (size,), generator=self._random, device=device)

    def _synthesise(self, size: int) -> tuple[Tensor, Tensor]:
        """Draw patterns of the current volume at random poses, fluences as measured."""
        matrix = rotations.to_matrix(so3.haar(size, self._random))
        volume, pixels = self._volume, self.pixels
        rate = slice_volume(volume.values, matrix, pixels.s, volume.spacing) * pixels.gain
        rate = rate * self._fluence[self._draw(size), None] + pixels.background
        return torch.poisson(rate.clamp_min(0), generator=self._random), matrix


def teach(march: March, state: State, monitor: Monitor) -> Encoder:
    """Train an encoder from scratch on the state's volume and poses."""
    config = march.config
    lesson = Lesson(march, state, encoder_limit(march))
    # Initial weights come from torch's global generator: fork it, so that nothing else notices.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = Encoder(lesson.pixels.to("cpu"), config.encoder).to(march.device)
    encoder.image.calibrate(lesson.counts)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.encoder.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.encoder.steps)
    with monitor.progress("encoder", config.encoder.steps) as advance:
        for _ in range(config.encoder.steps):
            counts, target = lesson.batch(config.encoder.batch, config.encoder.synthetic)
            heads, logits = encoder(counts)
            loss = encoder_loss(heads, logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            advance(1, f"loss {float(loss.detach()):.3f}")
    return encoder


def encoder_limit(march: March) -> float:
    """Return the |s| (Å⁻¹) to which the encoder looks at a pattern."""
    reach = march.config.encoder.reach / march.stream.diameter_angstrom
    return min(reach, float(march.pixels.radius[-1]))


def rebuild(march: March, weights: dict[str, Tensor]) -> Encoder:
    """Return the encoder of a checkpoint; raises :class:`UserError` for another detector's."""
    pixels = march.pixels_within(encoder_limit(march)).to("cpu")
    encoder = Encoder(pixels, march.config.encoder)
    if not torch.equal(encoder.image.cell, weights["image.cell"]):
        raise UserError(
            "these patterns come from another detector geometry or mask than the run's, so its "
            "encoder cannot read them; train a run on them"
        )
    encoder.load_state_dict(weights)
    return encoder.to(march.device)


def propose(
    encoder: Encoder, photons: Photons, pixels: Pixels
) -> tuple[Float[Tensor, "n H 4"], Float[Tensor, "n H"]]:
    """Return every head's pose and probability for a block of patterns, the likeliest first."""
    counts = photons.dense(len(pixels)).to(pixels.s.device)
    return encoder.propose(counts)


def challenge(march: March, state: State, encoder: Encoder, monitor: Monitor) -> None:
    """Let the encoder propose for every pattern; keep what the exact likelihood prefers.

    Records how far the encoder alone is from the searched poses: its first choice, the head that
    the likelihood picks, and its nearest head, all modulo the near-symmetric mate.
    """
    volume, pixels = state.require_volume(), march.pixels_within(encoder_limit(march))
    first, picked, nearest, rescued = [], [], [], 0
    for rows, photons in march.stream.blocks():
        heads, _ = propose(encoder, photons, pixels)
        held = Poses(
            state.columns["orientations"][rows].to(march.device),
            state.columns["loglik"][rows].to(march.device),
            torch.deg2rad(state.columns["error_deg"][rows]).double().to(march.device),
        )
        choice = prune(volume, pixels, photons, heads, 1)[:, 0].contiguous()
        angles = torch.stack([angle_modulo_mate(h, held.quaternion) for h in heads.unbind(1)], 1)
        first.append(angles[:, 0])
        nearest.append(angles.min(1).values)
        picked.append(angle_modulo_mate(choice, held.quaternion))
        state.columns["encoder_orientations"][rows] = heads[:, 0].cpu()
        rescued += _contest(march, state, volume, rows, photons, choice, held)
    state.figures |= {
        "encoder_first_choice_deg_median": float(torch.cat(first).median()),
        "encoder_likelihood_pick_deg_median": float(torch.cat(picked).median()),
        "encoder_nearest_head_deg_median": float(torch.cat(nearest).median()),
        "encoder_rescued_patterns": float(rescued),
    }
    monitor.log("encoder", **state.figures)


def _contest(
    march: March,
    state: State,
    volume: Volume,
    rows: slice,
    photons: Photons,
    choice: Tensor,
    held: Poses,
) -> int:
    """Refine proposals that lie elsewhere, keep the likelier; return how many poses turned."""
    s_low, s_edge = encoder_limit(march), float(march.pixels.radius[-1])
    far = rotations.angle_between(choice, held.quaternion) > _FAR * march.max_step(s_edge)
    index = torch.nonzero(far)[:, 0]
    if not len(index):
        return 0
    limits = ladder(s_low, s_edge, 1.4)
    some = photons.take(index.cpu().numpy())
    rivals = Poses(choice[index].contiguous(), held.loglik[index], held.error_rad[index])
    rivals = march.descend(volume, some, rivals, limits)
    current = refine(
        volume, march.pixels_within(s_edge), some, held.quaternion[index].contiguous(), 1,
        march.max_step(s_edge),
    )  # fmt: skip
    better = current.better(rivals)
    # Most rivals climb back to the pose held and differ by rounding alone: those are no rescues.
    turned = rotations.angle_between(better.quaternion, current.quaternion)
    target = index.cpu() + rows.start
    state.columns["orientations"][target] = better.quaternion.cpu()
    state.columns["loglik"][target] = better.loglik.cpu()
    return int((turned > march.max_step(s_edge)).sum())
