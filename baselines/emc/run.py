"""A reconstruction from a pattern file to a run directory."""

import hashlib
import os
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor

from baselines.emc import checkpoint
from baselines.emc.checkpoint import State
from baselines.emc.config import EmcConfig
from baselines.emc.march import March
from baselines.emc.output import Summary, summarise, write_results
from xraisim.console import Advance
from xraisim.core import config as toml
from xraisim.core.device import choose_device
from xraisim.core.processes import ALONE, Processes
from xraisim.files.patterns import PatternReader


def reconstruct(
    patterns: Path,
    directory: Path,
    config: EmcConfig,
    *,
    chosen: Bool[Tensor, "N"] | None = None,
    resume: bool = False,
    progress: Advance | None = None,
    processes: Processes = ALONE,
) -> Summary:
    """Reconstruct an intensity volume (electrons²) and orientations from a pattern file.

    Writes ``config.toml``, ``metrics.jsonl``, ``intensity.h5`` and ``.mrc``, ``poses.h5`` and
    ``summary.json`` into ``directory``. ``chosen``: which patterns take part; the others have no
    pose. ``resume`` goes on from the checkpoint that an interrupted run left there. Several
    ``processes`` share the patterns, and the first of them writes. Raises the :class:`UserError`
    family for input that cannot be used.
    """
    device = choose_device(config.device)
    with PatternReader(patterns) as reader:
        key = _key(patterns, reader, config, chosen)
        state = checkpoint.load(directory, key, device) if resume else State(key=key)
        if processes.is_leader:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "config.toml").write_text(toml.dumps(config))
        march = March(reader, directory, config, device, state, progress, processes, chosen)
        stage = march.run()
        summary = summarise(stage, state, device)
        if processes.is_leader:
            write_results(directory, reader, stage, state, summary)
            (directory / checkpoint.NAME).unlink(missing_ok=True)
    return summary


def _key(
    patterns: Path, reader: PatternReader, config: EmcConfig, chosen: Bool[Tensor, "N"] | None
) -> str:
    """Return what identifies a run: settings, the patterns' size on disk, and which are used."""
    used = None if chosen is None else chosen.nonzero()[:, 0].tolist()
    known = (toml.dumps(config), reader.n_patterns, os.path.getsize(patterns), used)
    return hashlib.sha256(repr(known).encode()).hexdigest()
