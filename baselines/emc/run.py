"""A reconstruction from a pattern file to a run directory."""

from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from baselines.emc import checkpoint
from baselines.emc.checkpoint import State
from baselines.emc.config import EmcConfig
from baselines.emc.inputs import Inputs
from baselines.emc.output import result_of, write_results
from baselines.emc.reconstruction import Reconstruction
from xraisim.console import Advance
from xraisim.core import config as toml
from xraisim.core.device import choose_device
from xraisim.core.errors import SamplingError
from xraisim.core.processes import ALONE, Processes
from xraisim.files.atomic import write_text
from xraisim.files.checkpoint import keeping, key_of
from xraisim.files.events import METRICS
from xraisim.files.lock import new_directory
from xraisim.files.patterns import PatternReader
from xraisim.files.result import Result


def reconstruct(
    patterns: Path,
    directory: Path,
    config: EmcConfig,
    *,
    chosen: Bool[Tensor, "N"] | None = None,
    resume: bool = False,
    progress: Advance | None = None,
    processes: Processes = ALONE,
) -> Result:
    """Reconstruct an intensity volume (electrons²) and orientations from a pattern file.

    Writes ``config.toml``, ``metrics.jsonl``, ``intensity.h5`` and ``.mrc``, ``poses.h5`` and
    ``result.json`` into ``directory``. ``chosen``: which patterns take part; the others have no
    pose. ``resume`` goes on from the checkpoint that an interrupted run left there. Several
    ``processes`` share the patterns, and the first of them writes. Raises the :class:`UserError`
    family for input that cannot be used; a :class:`SamplingError` before the first iteration leaves
    no directory.
    """
    device = choose_device(config.device)
    with PatternReader(patterns) as reader:
        used = None if chosen is None else chosen.nonzero()[:, 0].tolist()
        every = torch.ones(reader.n_patterns, dtype=torch.bool)
        inputs = Inputs(reader, config, every if chosen is None else chosen, device, processes)
        key, leads = key_of(reader, config, used), processes.is_leader
        with new_directory(directory, wanted=leads), keeping(directory):
            state = checkpoint.load(directory, key, device) if resume else State(key=key)
            if leads:
                write_text(directory / "config.toml", toml.dumps(config))
            try:
                stage = Reconstruction(inputs, state, directory, progress).run()
            except SamplingError:
                if leads and not (directory / checkpoint.NAME).exists():
                    for name in ("config.toml", METRICS):
                        (directory / name).unlink(missing_ok=True)
                raise
            result = result_of(stage, state, config, device)
            if leads:
                write_results(directory, reader, stage, state, result)
                (directory / checkpoint.NAME).unlink(missing_ok=True)
    return result
