"""A classification from a pattern file to a run directory."""

from pathlib import Path

from baselines.classify import checkpoint
from baselines.classify.assign import assign
from baselines.classify.checkpoint import State
from baselines.classify.config import ClassifyConfig
from baselines.classify.kinds import statistics
from baselines.classify.output import result_of, write_results
from baselines.classify.stage import make_stage
from baselines.classify.starts import Starts
from xraisim.console import Advance
from xraisim.core import config as toml
from xraisim.core.device import choose_device
from xraisim.core.processes import ALONE, Processes
from xraisim.files.atomic import write_text
from xraisim.files.checkpoint import keeping, key_of
from xraisim.files.lock import new_directory
from xraisim.files.patterns import PatternReader
from xraisim.files.result import Result


def classify(
    patterns: Path,
    directory: Path,
    config: ClassifyConfig,
    *,
    resume: bool = False,
    progress: Advance | None = None,
    processes: Processes = ALONE,
) -> Result:
    """Sort the patterns of a file into classes, each with an average in the detector plane.

    Writes ``config.toml``, ``metrics.jsonl``, ``classes.h5``, ``averages.h5`` and ``.png`` and
    ``result.json`` into ``directory``. ``resume`` goes on from the checkpoint that an interrupted
    run left there. Several ``processes`` share the patterns, and the first of them writes. Raises
    the :class:`UserError` family for input that cannot be used.
    """
    device = choose_device(config.device)
    with PatternReader(patterns) as reader:
        key, leads = key_of(reader, config), processes.is_leader
        with new_directory(directory, wanted=leads), keeping(directory):
            state = checkpoint.load(directory, key, device) if resume else State(key=key)
            stage = make_stage(reader, config, device, processes)
            if leads:
                write_text(directory / "config.toml", toml.dumps(config))
            best = Starts(reader, stage, config, state, directory, progress).run()
            found = assign(stage, best.classes, best.fluence, config)
            rows = statistics(stage, best.classes, found)
            result = result_of(stage, rows, state, config, device)
            if leads:
                write_results(directory, reader, stage, best.classes, found, result)
                (directory / checkpoint.NAME).unlink(missing_ok=True)
    return result
