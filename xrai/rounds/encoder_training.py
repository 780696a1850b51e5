"""The encoder of a run: trained a little after every round, kept in the checkpoint."""

import torch

from xrai.encoder import Encoder
from xrai.encoder.training import EncoderTrainer, encoder_pixels, load
from xrai.poses.finder import PoseFinder
from xrai.rounds.reconstruction import Reconstruction
from xrai.state.state import State
from xraisim.core.types import Pixels

_PATTERNS = 4096  # the first ones: a stream keeps them in memory, and their poses are known


def pixels_of(finder: PoseFinder) -> Pixels:
    """Return the pixels that the encoder of a run looks at."""
    return encoder_pixels(finder.pixels, finder.stream.diameter_angstrom, finder.config.network)


def train_encoder(run: Reconstruction, *, last: bool = False) -> None:
    """Train the encoder on the poses and the volume of the rounds so far.

    The first time and the ``last`` take ``encoder.steps`` steps, those between
    ``encoder.steps_per_round``. There is none while no pattern counts.
    """
    finder, state = run.finder, run.state
    config, pixels = finder.config, pixels_of(finder)
    trainer = EncoderTrainer(
        pixels, config.network, config.seed, finder.device, finder.processes, finder.group
    )
    steps = config.network.steps
    if state.trainer is not None:
        trainer.load_state_dict(state.trainer)
        steps = config.network.steps if last else config.network.steps_per_round
    if steps == 0:
        return
    blocks = finder.stream.blocks(0, min(state.seen, _PATTERNS))
    counts = torch.cat([photons.dense(len(pixels)) for _, photons in blocks])
    hits = state.columns["weight"][: len(counts)] > 0
    if not hits.any():
        return
    poses, fluence = (state.columns[name][: len(counts)] for name in ("orientations", "fluence"))
    with run.monitor.progress("encoder", steps) as advance:
        trainer.learn(
            state.require_volume(),
            pixels,
            counts[hits].to(finder.device),
            poses[hits].to(finder.device),
            fluence[hits].to(finder.device),
            steps,
            advance,
        )
    state.trainer = trainer.state_dict()


def encoder_of(finder: PoseFinder, state: State) -> Encoder | None:
    """Return the encoder as trained so far; None before that.

    Raises :class:`UserError` if the patterns come from another detector than those it learnt from.
    """
    if state.trainer is None:
        return None
    encoder = Encoder(pixels_of(finder).to("cpu"), finder.config.network, finder.group)
    load(encoder, state.trainer["encoder"])
    return encoder.to(finder.device)
