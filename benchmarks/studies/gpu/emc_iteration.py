"""Seconds per EMC iteration at a given size, on a GPU or a CPU, after checking it on a small one.

    python -m benchmarks.studies.gpu.emc_iteration --device cuda --record record.json

One call is one experiment: patterns are drawn, one iteration of both engines on the device is held
against the CPU's on a part of them, then ``--patterns`` patterns of 128 × 128 pixels are iterated
against ``--orientations`` orientations. ``--device cpu`` tries the script out; the record names the
device that was used.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from baselines.emc import EmcConfig, Level, reconstruct
from benchmarks.studies.common import study_record
from benchmarks.studies.common.stages import metrics
from benchmarks.task import load_task
from xraisim import console
from xraisim.core.device import choose_device
from xraisim.core.errors import UserError
from xraisim.files.volumes import read_volume
from xraisim.simulation import make

_CHECKED = 1000  # patterns, at a tenth of the resolution's orientations
_ITERATIONS = 4
_AGREE = 2e-3  # relative difference of two volumes: rounding, in half precision for one engine


@study_record.user_errors()
def main() -> None:
    """Simulate, check, measure and write the record."""
    options = _options()
    choose_device(options.device)
    with tempfile.TemporaryDirectory() as scratch:
        patterns = Path(scratch) / "patterns.h5"
        wanted = replace(load_task("quick").simulate, patterns=options.patterns, seed=1)
        with console.progress("patterns", options.patterns) as advance:
            make.simulate(wanted, patterns, progress=advance)
        record: dict[str, Any] = study_record.circumstances(options.device)
        record["settings"] = {name: str(value) for name, value in vars(options).items()}
        record["differences"] = {
            engine: check(patterns, Path(scratch), options.device, engine)
            for engine in ("harmonic", "dense")
        }
        record["iterations"] = measure(patterns, Path(scratch) / "run", options)
    study_record.write(options.record, record)
    console.say(f"{[round(line['seconds'], 2) for line in record['iterations']]} s per iteration")


def check(patterns: Path, scratch: Path, device: str, engine: str) -> float:
    """Return ‖V − V_cpu‖/‖V_cpu‖ after one iteration; raises :class:`UserError` if it is large."""
    level = Level(reach=4.0, rotations=2000, iterations=1, patterns=_CHECKED)
    config = EmcConfig(levels=(level, replace(level, patterns=0)), restarts=1, engine=engine)
    volumes = []
    for where in ("cpu", device):
        run = scratch / f"check-{engine}-{where}"
        reconstruct(patterns, run, replace(config, device=where))
        volumes.append(read_volume(run / "intensity.h5").values)
    off = float((volumes[1] - volumes[0]).norm() / volumes[0].norm())
    if off > _AGREE:
        raise UserError(
            f"the {engine} engine on {device} differs from the CPU's by {off:.2g} in its volume, "
            f"more than {_AGREE}: the speed of wrong volumes is of no interest"
        )
    return off


def measure(patterns: Path, run: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl of the level that was asked for."""
    start = EmcConfig().levels[0]
    wanted = Level(reach=options.speckles, rotations=options.orientations, iterations=_ITERATIONS)
    config = EmcConfig(
        levels=(start, wanted), restarts=1, device=options.device, cache_gib=options.cache_gib
    )
    with console.progress("EMC iterations", config.iterations) as advance:
        reconstruct(patterns, run, config, progress=advance)
    return metrics(run, level=2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time of an EMC iteration on a device.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--patterns", type=int, default=50_000)
    parser.add_argument("--orientations", type=int, default=50_100)
    parser.add_argument("--speckles", type=float, default=17.0, help="reach s·D; 17: all pixels")
    parser.add_argument("--cache-gib", type=float, default=40.0)
    parser.add_argument("--record", type=Path, default=Path("emc_iteration.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
