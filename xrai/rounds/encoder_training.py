"""The encoder of a run: taught a little after every round, kept in the checkpoint."""

import torch

from xrai.encoder import Encoder
from xrai.encoder.training import Teacher, encoder_pixels, load
from xrai.poses.finder import March
from xrai.state.monitor import Monitor
from xrai.state.state import State
from xraisim.core.types import Pixels

_PATTERNS = 4096  # the first ones: a stream keeps them in memory, and their poses are known


def pixels_of(march: March) -> Pixels:
    """Return the pixels that the encoder of a run looks at."""
    return encoder_pixels(march.pixels, march.stream.diameter_angstrom, march.config.network)


def lesson(march: March, state: State, monitor: Monitor, *, last: bool = False) -> None:
    """Teach the encoder on the poses and the volume of the rounds so far.

    The first lesson and the ``last`` take ``encoder.steps`` steps, those between
    ``encoder.steps_per_round``. There is none while no pattern counts.
    """
    config, pixels = march.config, pixels_of(march)
    teacher = Teacher(
        pixels, config.network, config.seed, march.device, march.processes, march.group
    )
    steps = config.network.steps
    if state.teacher is not None:
        teacher.load_state_dict(state.teacher)
        steps = config.network.steps if last else config.network.steps_per_round
    if steps == 0:
        return
    blocks = march.stream.blocks(0, min(state.seen, _PATTERNS))
    counts = torch.cat([photons.dense(len(pixels)) for _, photons in blocks])
    hits = state.columns["weight"][: len(counts)] > 0
    if not hits.any():
        return
    poses, fluence = (state.columns[name][: len(counts)] for name in ("orientations", "fluence"))
    with monitor.progress("encoder", steps) as advance:
        teacher.learn(
            state.require_volume(),
            pixels,
            counts[hits].to(march.device),
            poses[hits].to(march.device),
            fluence[hits].to(march.device),
            steps,
            advance,
        )
    state.teacher = teacher.state_dict()


def encoder_of(march: March, state: State) -> Encoder | None:
    """Return the encoder as taught so far; None before its first lesson.

    Raises :class:`UserError` if the patterns come from another detector than the lessons'.
    """
    if state.teacher is None:
        return None
    encoder = Encoder(pixels_of(march).to("cpu"), march.config.network, march.group)
    load(encoder, state.teacher["encoder"])
    return encoder.to(march.device)
