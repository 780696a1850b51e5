"""Orientations of new patterns from a run: the encoder proposes, the likelihood decides."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xrai.config import TrainConfig
from xrai.encoder import Encoder
from xrai.poses.finder import PoseFinder, ladder
from xrai.poses.mates import refine_hypotheses
from xrai.poses.search import prune
from xrai.rounds.encoder_training import encoder_of, pixels_of
from xrai.sources.reopen import path_of
from xrai.sources.stream import PatternStream
from xrai.state import checkpoint
from xrai.train import CONFIG
from xraisim import console
from xraisim.core import config as configuration
from xraisim.core.device import choose_device
from xraisim.core.errors import UserError
from xraisim.core.processes import ALONE, Processes
from xraisim.core.types import Photons, Volume
from xraisim.files.poses import COLUMNS, write_poses

_KEPT_HYPOTHESES = 3
_STEPS = 3


def find_poses(
    run_directory: Path | str,
    patterns: Path | str | None,
    out: Path,
    *,
    encoder_only: bool = False,
    device: str = "auto",
    processes: Processes = ALONE,
) -> dict[str, float | int | str]:
    """Write the orientations of ``patterns`` (default: the run's own) to ``out``.

    With ``encoder_only`` an orientation is the encoder's first choice, one network pass; else its
    likeliest hypotheses are refined by likelihood to the volume's edge. ``probability`` is the
    encoder's for its first choice. ``error_deg`` is the expected error modulo the in-plane mate and
    the point group: the encoder's calibrated one, or, of refined poses, the Cramér-Rao bound, which
    holds if the volume and the mode are right. Patterns without photons get NaN. Several
    ``processes`` share the blocks of patterns, and the first of them writes. Raises
    :class:`UserError` where the run has no encoder yet, the detector is another, or no pattern has
    photons.
    """
    directory, chosen = Path(run_directory), choose_device(device)
    state = checkpoint.load(directory)
    config = configuration.load(TrainConfig, directory / CONFIG)
    with PatternStream(
        patterns or path_of(state.patterns),
        config.block,
        config.memory_gib,
        resolution_angstrom=config.resolution_angstrom,
    ) as stream:
        finder = PoseFinder(stream, config, chosen)
        volume = state.require_volume().to(chosen)
        encoder = encoder_of(finder, state)
        if encoder is None:
            raise UserError(f"{directory} has no trained encoder yet; finish it with `xrai resume`")
        table = _empty(len(stream), encoder_only)
        mine, shown = _share(len(stream), config.block, processes), processes.is_leader
        with console.progress("poses", len(mine), shown=shown) as advance:
            for rows, photons in stream.blocks(mine.start, mine.stop):
                found = _block(finder, encoder, volume, photons, encoder_only)
                for name, values in found.items():
                    table[name][rows] = values
                advance(len(photons))
    processes.sum(*table.values())
    columns = {name: values.numpy() for name, values in table.items()}
    posed = np.isfinite(columns["probability"])
    if not posed.any():
        raise UserError(f"no photons: none of {len(posed):,} patterns has any; nothing to orient")
    if processes.is_leader:
        write_poses(out, columns, str(patterns or state.patterns))
    return {
        "path": str(out),
        "patterns": len(posed),
        "without_photons": int((~posed).sum()),
        "probability_median": float(np.median(columns["probability"][posed])),
        "error_deg_median": float(np.median(columns["error_deg"][posed])),
    }


def _empty(patterns: int, encoder_only: bool) -> dict[str, Tensor]:
    """Return the columns as zeros, of which each process fills in rows of its own."""
    kinds = {"orientations": torch.float32, "probability": torch.float32}
    if encoder_only:
        kinds |= {"error_deg": torch.float32}
    else:
        kinds |= {"loglik": torch.float64, "error_deg": torch.float64}
    return {
        name: torch.zeros((patterns, COLUMNS[name].width), dtype=kind).squeeze(1)
        for name, kind in kinds.items()
    }


def _share(patterns: int, block: int, processes: Processes) -> range:
    """Return the patterns of a process: whole blocks, as one process alone would have them."""
    mine = processes.share(math.ceil(patterns / block))
    return range(min(mine.start * block, patterns), min(mine.stop * block, patterns))


def _block(
    finder: PoseFinder, encoder: Encoder, volume: Volume, photons: Photons, encoder_only: bool
) -> dict[str, Tensor]:
    """Return the columns of the file for a block of patterns; NaN where there are no photons."""
    pixels = pixels_of(finder)
    proposed = encoder.propose(photons.dense(len(pixels)).to(finder.device))
    columns = {"probability": proposed.probability[:, 0]}
    if encoder_only:
        columns |= {"orientations": proposed.heads[:, 0], "error_deg": proposed.error_deg}
    else:
        edge = min(finder.s_edge, (volume.grid // 2 - 1) * volume.spacing)
        limit = min(float(pixels.radius[-1]), edge)
        likelihood = finder.likelihood(volume, photons, limit)
        likely = prune(likelihood, proposed.heads, min(_KEPT_HYPOTHESES, encoder.heads))
        poses = refine_hypotheses(likelihood, likely, finder.steps(limit, _STEPS))
        poses = finder.refine_outwards(volume, photons, poses, ladder(limit, edge, 1.2)[1:])
        columns |= {"orientations": poses.quaternion, "loglik": poses.loglik}
        columns["error_deg"] = torch.rad2deg(poses.error_rad)
    dark = torch.from_numpy(photons.totals() == 0)
    found = {name: values.cpu() for name, values in columns.items()}
    for values in found.values():
        values[dark] = torch.nan
    return found
