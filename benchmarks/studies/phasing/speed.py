"""Our iterations per second, and how much of them the transforms take.

``python -m benchmarks.studies.phasing.speed --out runs/phasing``

Random amplitudes and a ball as the support: what an iteration costs does not depend on the values.
Times are of the processor as well as of the clock; only the first mean anything on a busy machine.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from baselines.phasing import iterate, projections, transforms
from baselines.phasing.projections import Modulus
from baselines.phasing.stage import one_thread_each
from baselines.phasing.support import ball, on_grid
from benchmarks.studies.common import study_record
from xraisim.core.types import Volume

BETAS = {"er": 1.0, "hio": 0.9, "raar": 0.9, "dm": 1.0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speed:
    """``starts`` side by side; iterations of all of them count. ``fft_share`` of processor time."""

    grid: int
    algorithm: str
    starts: int
    iterations: int
    wall_s: float
    cpu_s: float
    fft_share: float

    @property
    def per_s(self) -> float:
        """Iterations per second of the clock."""
        return self.iterations / self.wall_s

    @property
    def per_cpu_s(self) -> float:
        """Iterations per second of one processor."""
        return self.iterations / self.cpu_s


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """Amplitudes on ``grid`` voxels, a support, and random densities [B, N, N, N]."""

    modulus: Modulus
    support: Tensor
    density: Tensor
    intensity: Volume

    @classmethod
    def random(cls, grid: int, starts: int) -> "Problem":
        """Return a problem known up to the edge, of a particle half as wide as the field."""
        draw = torch.Generator().manual_seed(0)
        values = torch.rand(grid - 1, grid - 1, grid - 1, generator=draw) * grid**3
        values = (values + values.flip(0, 1, 2)) / 2
        intensity = Volume(values=values, spacing=1.0, kind="intensity")
        support = on_grid(ball(grid - 1, 1.0, grid / 2), grid)
        density = torch.rand(starts, grid, grid, grid, generator=draw) * support
        return cls(
            modulus=Modulus.from_intensity(intensity, (2.0, grid / 2 - 1), grid),
            support=support,
            density=density,
            intensity=intensity,
        )


def measure(problem: Problem, algorithm: str, iterations: int) -> Speed:
    """Run ``iterations`` of every start, each on a thread of its own as :class:`.Stage` does."""
    with one_thread_each() as pool:
        starts = [one[None].clone() for one in problem.density]
        _iterate(problem, algorithm, starts[0].clone(), 2)  # compiles
        wall = time.perf_counter()
        spent = list(pool.map(lambda one: _iterate(problem, algorithm, one, iterations), starts))
        wall = time.perf_counter() - wall
    cpu = sum(whole for whole, _ in spent)
    return Speed(
        grid=problem.density.shape[1],
        algorithm=algorithm,
        starts=len(starts),
        iterations=iterations * len(starts),
        wall_s=wall,
        cpu_s=cpu,
        fft_share=sum(inside for _, inside in spent) / cpu,
    )


def _iterate(problem: Problem, algorithm: str, x: Tensor, iterations: int) -> tuple[float, float]:
    """Return processor seconds of this thread: in all, and inside the transforms."""
    modulus, support, inside = problem.modulus, problem.support[None], 0.0

    def timed(transform: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        nonlocal inside
        began = time.thread_time()
        done = transform(values)
        inside += time.thread_time() - began
        return done

    def project(density: Tensor) -> Tensor:
        factors = timed(transforms.forward, density)
        projections.impose(factors, modulus.amplitude, modulus.weight)
        return timed(transforms.inverse, factors)

    began = time.thread_time()
    for _ in range(iterations):
        x = iterate.step(algorithm, x, project(x), support, BETAS[algorithm], 0.0, project)
    return time.thread_time() - began, inside


def table(record: dict[str, Any]) -> Table:
    """Return one line per grid, algorithm and number of starts."""
    names = ("grid", "algorithm", "starts", "iterations/s", "per processor s", "in the FFT")
    rows = (
        (
            f"{row.grid}³",
            row.algorithm,
            str(row.starts),
            f"{row.per_s:.1f}",
            f"{row.per_cpu_s:.1f}",
            f"{row.fft_share:.0%}",
        )
        for row in (Speed(**one) for one in record["speeds"])
    )
    return study_record.table(study_record.heading("phasing, float32", record), names, rows)


def main() -> None:
    """Measure, write ``phasing_speed.json`` and print the table."""
    parser = study_record.parser(__doc__, "runs/phasing")
    parser.add_argument("--grids", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--starts", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--voxels", type=float, default=2e8, help="transformed per figure")
    options = parser.parse_args()
    record = study_record.circumstances() | {"speeds": []}
    for grid in options.grids:
        for starts in options.starts:
            problem = Problem.random(grid, starts)
            for algorithm in iterate.REFERENCE:
                count = max(5, round(options.voxels / grid**3 / starts))
                speed = measure(problem, algorithm, count)
                record["speeds"].append(dataclasses.asdict(speed))
    study_record.conclude(options.out / "phasing_speed.json", record, table(record))


if __name__ == "__main__":
    main()
