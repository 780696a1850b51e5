"""Our EMC beside Dragonfly's: the same photons, the same cores, one after the other.

``python -m benchmarks.studies.emc.peers --dragonfly BIN --out runs/emc-peers``, where BIN holds the
executables of an environment with dragonfly-spi (or set XRAI_DRAGONFLY_BIN). Three parts, any of
which can be made alone (``--part``):

- ``whole``: from a random start to the truth correlation that Dragonfly's finished run reaches, on
  3,000 frames of 4BED as Dragonfly's own configuration simulates it, 10,860 orientations;
- ``iteration``: one converged iteration at 10,000 frames × 10,860 orientations;
- ``divergence``: 200 frames on a grid that is fine for them, on which Dragonfly's volume blows up.

Everything that was simulated or reconstructed in the directory is used again, so an interrupted
measurement goes on, and a run is made anew by removing its folder. Dragonfly makes its frames, is
given its own photon file, and its true intensity is the truth of both.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from baselines.external.dragonfly.program import BIN_VARIABLE
from benchmarks.studies.common import study_record
from benchmarks.studies.emc import divergence, iteration, whole
from benchmarks.studies.emc.task import Setting
from xraisim import console

PARTS: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "whole": whole.measure,
    "iteration": iteration.measure,
    "divergence": divergence.measure,
}
_FIGURES = Path("docs/images")


def _options() -> argparse.Namespace:
    parser = study_record.parser(__doc__, "runs/emc-peers")
    parser.add_argument(
        "--dragonfly",
        type=Path,
        default=os.environ.get(BIN_VARIABLE),
        help="directory of Dragonfly's executables",
    )
    parser.add_argument("--part", action="append", choices=list(PARTS), help="default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="of ours, and of iterations")
    parser.add_argument("--iterations", type=int, default=60, help="of Dragonfly's whole run")
    parser.add_argument("--ours", type=Path, help="TOML file of EMC settings for `whole`")
    parser.add_argument("--figures", type=Path, default=_FIGURES, help="directory of the plots")
    options = parser.parse_args()
    if options.dragonfly is None:
        parser.error(f"Dragonfly is needed: give --dragonfly BIN or set {BIN_VARIABLE}")
    return options


def main() -> None:
    """Measure, write ``emc_<part>.json`` into the directory and print the figures."""
    options = _options()
    setting = Setting(
        programs=Path(options.dragonfly),
        out=options.out.absolute(),
        threads=options.threads,
        repeats=options.repeats,
        iterations=options.iterations,
        ours=options.ours,
        figures=options.figures.absolute(),
    )
    for part in options.part or PARTS:
        circumstances = study_record.circumstances()
        found = PARTS[part](setting)
        record = circumstances | {"threads": setting.threads} | found
        study_record.write(setting.out / f"emc_{part}.json", record)
        console.out.print(study_record.heading(part, record), highlight=False)
        for name, value in found["figures"].items():
            console.out.print(f"  {name}: {value}", highlight=False)
        console.say(f"record: {setting.out / f'emc_{part}.json'}")


if __name__ == "__main__":
    main()
