"""Orientations of new patterns from a run: the encoder proposes, the likelihood decides."""

from pathlib import Path

import numpy as np

from xrai import checkpoint, export, teach
from xrai.config import TrainConfig
from xrai.encoder import Encoder
from xrai.march import March
from xrai.poses import prune, refine_hypotheses
from xrai.rounds import ladder
from xrai.sources.reopen import path_of
from xrai.stream import PatternStream
from xrai.train import CONFIG
from xraisim import console
from xraisim.core import config as configuration
from xraisim.core.device import choose_device
from xraisim.core.errors import UserError
from xraisim.core.types import Photons, Volume

_KEPT_HEADS = 3


def infer(
    run_directory: Path | str,
    patterns: Path | str | None,
    out: Path,
    *,
    encoder_only: bool = False,
    device: str = "auto",
) -> export.Summary:
    """Write the orientations of ``patterns`` (default: the run's own) to ``out``.

    With ``encoder_only`` an orientation is the encoder's first choice, one network pass; else its
    likeliest hypotheses are refined by likelihood to the volume's edge. ``probability`` is the
    encoder's for its first choice. Raises :class:`UserError` where the run has no encoder yet or
    the detector is another.
    """
    directory, chosen = Path(run_directory), choose_device(device)
    state = checkpoint.load(directory)
    if state.teacher is None:
        raise UserError(f"{directory} has no trained encoder yet; finish it with `xrai resume`")
    config = configuration.load(TrainConfig, directory / CONFIG)
    with PatternStream(
        patterns or path_of(state.patterns), config.block, config.memory_gib
    ) as stream:
        march = March(stream, config, chosen)
        volume = state.require_volume().to(chosen)
        encoder = teach.rebuild(march, state.teacher)
        parts = []
        with console.progress("poses", len(stream)) as advance:
            for _, photons in stream.blocks():
                parts.append(_block(march, encoder, volume, photons, encoder_only))
                advance(len(photons))
    names = ("orientations", "probability", "loglik")
    columns = {n: np.concatenate(c) for n, c in zip(names, zip(*parts, strict=True), strict=True)}
    if encoder_only:
        del columns["loglik"]
    export.write_poses(out, columns)
    return {
        "path": str(out),
        "patterns": len(columns["orientations"]),
        "probability_median": float(np.median(columns["probability"])),
    }


def _block(
    march: March, encoder: Encoder, volume: Volume, photons: Photons, encoder_only: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    limit = teach.encoder_limit(march)
    pixels = march.pixels_within(limit)
    heads, probability = teach.propose(encoder, photons, pixels)
    first = probability[:, 0].cpu().numpy()
    if encoder_only:
        return heads[:, 0].cpu().numpy(), first, np.zeros(len(photons))
    likely = prune(volume, pixels, photons, heads, min(_KEPT_HEADS, heads.shape[1]))
    poses = refine_hypotheses(volume, pixels, photons, likely, 3, march.max_step(limit))
    edge = float(march.pixels.radius[-1])
    poses = march.descend(volume, photons, poses, ladder(limit, edge, 1.2)[1:])
    return poses.quaternion.cpu().numpy(), first, poses.loglik.cpu().numpy()
