"""How the time of our EMC iteration grows with patterns N, rotations R and pixels P.

``python -m benchmarks.studies.emc.scaling --out runs/emc-scaling``: one level from a random start,
on patterns of the 50S subunit at the published setting. One of N, R and P is varied, the others are
held; the last of a few iterations counts, as ``metrics.jsonl`` tells it. What was run in the
directory is used again.
"""

import argparse
import math
from pathlib import Path
from typing import Any

from baselines.emc import EmcConfig, Level
from benchmarks.studies.common import study_record
from benchmarks.studies.common.stages import simulated
from benchmarks.studies.emc import plots
from benchmarks.studies.emc.ours import run_ours
from xraisim import console
from xraisim.files.patterns import PatternReader
from xraisim.simulation.config import from_mapping

_PATTERNS = (1000, 2000, 4000, 8000, 16_000)
_ROTATIONS = (1000, 2000, 4000, 8000, 16_000)
_PIXELS = (500, 1000, 2000, 4000, 8000)
_HELD = {"patterns": 4000, "rotations": 4000, "pixels": 2000}
_INFORMATION = 0.9


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run every point of the three sweeps; return the record."""
    sweeps = {
        "patterns": options.patterns,
        "rotations": options.rotations,
        "pixels": options.pixels,
    }
    rows = {
        name: [_point(options, _HELD | {name: value}) for value in values]
        for name, values in sweeps.items()
    }
    exponents = {name: round(exponent(name, found), 2) for name, found in rows.items()}
    return {"held": _HELD, "information": _INFORMATION, "exponents": exponents, "rows": rows}


def exponent(name: str, rows: list[dict[str, Any]]) -> float:
    """Return the power with which time grows over the upper half of a sweep."""
    first, last = rows[(len(rows) - 1) // 2], rows[-1]
    return math.log(last["seconds"] / first["seconds"]) / math.log(last[name] / first[name])


def _patterns(folder: Path, number: int) -> Path:
    """Return a file of so many patterns, made unless it is there."""
    config = {
        "structure": "4v5d",
        "chains": "B*",
        "patterns": number,
        "instrument": "xrai2025",
        "beam": {"photons_per_pulse": 1e13},
        "detector": {"s_min_per_angstrom": 0.004},
    }
    return simulated(from_mapping(config), folder / f"{number}-patterns.h5")


def _point(options: argparse.Namespace, sizes: dict[str, int]) -> dict[str, Any]:
    """Return the sizes and the seconds of one iteration at them."""
    patterns = _patterns(options.out, sizes["patterns"])
    with PatternReader(patterns) as reader:
        radius = reader.pixels.radius
        s_max = float(radius[min(sizes["pixels"], len(radius)) - 1])
        count = reader.pixels.count_below(s_max)
        diameter = reader.info["particle_diameter_angstrom"]
    levels = (
        Level(
            reach=s_max * diameter,
            rotations=sizes["rotations"],
            iterations=options.iterations,
            information=(_INFORMATION, _INFORMATION),
        ),
    )
    name = "-".join(str(value) for value in sizes.values())
    folder = options.out / name
    run = run_ours(patterns, folder, EmcConfig(levels=levels, restarts=1), threads=options.threads)
    seconds = float(run.metrics[-1]["seconds"])
    console.say(f"{sizes}: {seconds:.2f} s")
    return sizes | {"pixels": count, "seconds": seconds, "load": run.loads[-1:]}


def _options() -> argparse.Namespace:
    parser = study_record.parser(__doc__, "runs/emc-scaling")
    sweeps = {"patterns": _PATTERNS, "rotations": _ROTATIONS, "pixels": _PIXELS}
    for name, values in sweeps.items():
        parser.add_argument(f"--{name}", type=int, nargs="+", default=values)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--figure", type=Path, default=Path("docs/images/emc_scaling.png"))
    return parser.parse_args()


def main() -> None:
    """Measure, write ``emc_scaling.json`` and the plot."""
    options = _options()
    circumstances = study_record.circumstances()
    record = circumstances | {"threads": options.threads} | measure(options)
    study_record.write(options.out / "emc_scaling.json", record)
    plots.scaling(options.figure, record["rows"])
    console.out.print(study_record.heading("time grows as", record), record["exponents"])


if __name__ == "__main__":
    main()
