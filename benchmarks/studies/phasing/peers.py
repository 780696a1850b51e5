"""Our phasing beside another program: same problem, same cores, alternated, one table.

``python -m benchmarks.studies.phasing.peers --cuphaser PYTHON --out runs/phasing``, where PYTHON is
an interpreter that has cuphaser.

Both iterate on the same amplitudes within the same support; they take turns, and the median of the
repeats is given. Ours runs as many starts side by side as it has threads, cuphaser one start on all
of them; iterations of all starts count. On a busy machine only rates per second of processor time
mean anything, and the load is given.
"""

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from baselines.phasing.support import ball
from benchmarks.studies.common import study_record
from benchmarks.studies.phasing import cuphaser_peer, speed
from benchmarks.studies.phasing.speed import BETAS, Problem
from xraisim import console
from xraisim.core.fourier import radius

#: iterations per second at 64³ and 128³, error reduction, measured on two quiet cores before
QUOTED = {
    "libspimage": {64: 438.0, 128: 40.0},
    "qoraphase": {64: 306.0, 128: 27.0},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Medians of one problem; ``*_per_cpu_s`` are iterations per second of one processor."""

    grid: int
    algorithm: str
    ours_per_s: float
    ours_per_cpu_s: float
    fft_share: float
    theirs_per_s: float
    theirs_per_cpu_s: float
    theirs: str


def compare(grid: int, algorithm: str, options: argparse.Namespace) -> Pair:
    """Let both take turns on one problem."""
    problem = Problem.random(grid, options.threads)
    folder = options.out / f"cuphaser-{grid}-{algorithm}"
    _write(folder, problem, algorithm, options)
    count = max(4, round(options.voxels / grid**3))
    ours, theirs = [], []
    for _ in range(options.repeats):
        ours.append(speed.measure(problem, algorithm, count))
        theirs.append(cuphaser_peer.run(options.cuphaser, folder, count, options.threads))
    return Pair(
        grid=grid,
        algorithm=algorithm,
        ours_per_s=statistics.median(one.per_s for one in ours),
        ours_per_cpu_s=statistics.median(one.per_cpu_s for one in ours),
        fft_share=statistics.median(one.fft_share for one in ours),
        theirs_per_s=statistics.median(one["iterations"] / one["wall_s"] for one in theirs),
        theirs_per_cpu_s=statistics.median(one["iterations"] / one["cpu_s"] for one in theirs),
        theirs=f"cuphaser {theirs[0]['version']}, {theirs[0]['transforms']}",
    )


def _write(folder: Path, problem: Problem, algorithm: str, options: argparse.Namespace) -> None:
    """Write the problem on its even grid, centred; −1 marks what is not known."""
    grid = problem.density.shape[1]
    values = torch.full((grid, grid, grid), -1.0)
    values[1:, 1:, 1:] = problem.intensity.values
    r = radius(grid, 1.0)
    values[(r < 2) | (r > grid / 2 - 1)] = -1.0
    support = ball(grid, 1.0, grid / 2)
    cuphaser_peer.write_problem(
        folder,
        values.numpy(),
        support.numpy(),
        algorithm,
        max(4, round(options.voxels / grid**3)),
        BETAS[algorithm],
        options.threads,
    )


def table(record: dict[str, Any]) -> Table:
    """Return one line per problem."""
    title = study_record.heading("iterations per second, two programs", record)
    names = ("grid", "algorithm", "ours /s", "cuphaser /s", "ours /processor s",
             "cuphaser /processor s", "ratio (processor)", "our FFT share")  # fmt: skip
    rows = (
        (
            f"{row.grid}³",
            row.algorithm,
            f"{row.ours_per_s:.1f}",
            f"{row.theirs_per_s:.1f}",
            f"{row.ours_per_cpu_s:.1f}",
            f"{row.theirs_per_cpu_s:.1f}",
            f"{row.ours_per_cpu_s / row.theirs_per_cpu_s:.1f}",
            f"{row.fft_share:.0%}",
        )
        for row in (Pair(**one) for one in record["pairs"])
    )
    return study_record.table(title, names, rows)


def main() -> None:
    """Measure, write ``phasing_peers.json`` and print the table."""
    parser = study_record.parser(__doc__, "runs/phasing")
    parser.add_argument("--cuphaser", type=Path, required=True, help="a Python that has cuphaser")
    parser.add_argument("--grids", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--algorithms", nargs="+", default=["er", "hio", "dm"])
    parser.add_argument("--voxels", type=float, default=2e7, help="per turn and start")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    pairs: list[dict[str, Any]] = []
    record = study_record.circumstances()
    record |= {"threads": options.threads, "quoted": QUOTED, "pairs": pairs}
    for grid in options.grids:
        for algorithm in options.algorithms:
            console.say(f"{algorithm} at {grid}³")
            pairs.append(dataclasses.asdict(compare(grid, algorithm, options)))
            study_record.write(options.out / "phasing_peers.json", record)
    study_record.conclude(options.out / "phasing_peers.json", record, table(record))
    for name, rates in QUOTED.items():
        told = ", ".join(f"{rate:.0f} at {grid}³" for grid, rate in rates.items())
        console.out.print(f"{name}, er, two quiet cores, iterations per second: {told}")


if __name__ == "__main__":
    main()
