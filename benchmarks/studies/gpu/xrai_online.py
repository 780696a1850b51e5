"""X-RAI online on a GPU: one pass over patterns that are drawn on the device as they are read.

    python -m benchmarks.studies.gpu.xrai_online --out run --record record.json

One call is one experiment, of ten minutes at most: a short run first, which compiles what is to be
compiled and gives the rate; then a run over ``--patterns`` patterns, or as many as ``--limit-s``
allows at that rate. The record has patterns per second, the time to each resolution (by half-sets),
by how much the device and the compiled loops of a CPU differ, and for each step its bytes and
operations per pattern and the share of the device's peak that it reached. ``--mode amortised`` runs
that mode. ``--device cpu --patterns 2000`` tries the script out; the record names the device.
"""

import dataclasses
from pathlib import Path
from typing import Any

from benchmarks.studies.common import study_record
from benchmarks.studies.gpu.xrai_run import options, run, source, step_costs, write
from xrai.config import TrainConfig
from xraisim.core.device import choose_device

_PILOT = 32_768
_CONFIG = TrainConfig(single_pass=True, block=4096, memory_gib=4.0)


def affordable(rounds: list[dict[str, Any]], asked: int, limit_s: float) -> int:
    """Return how many patterns fit into ``limit_s`` at the slowest rate of some rounds."""
    slowest = min(line["patterns_per_s"] for line in rounds)
    return min(asked, max(_PILOT, int(slowest * limit_s)))


@study_record.user_errors()
def main() -> None:
    """Run the experiment; exit code 2 and one line for what a user can mend."""
    parser = options((__doc__ or "").split("\n")[0], 5_000_000)
    parser.add_argument("--limit-s", type=float, default=400.0, help="for the long run")
    arguments = parser.parse_args()
    out: Path = arguments.out
    device = choose_device(arguments.device)
    config = dataclasses.replace(_CONFIG, device=arguments.device, mode=arguments.mode)
    pilot = source(arguments, min(_PILOT, arguments.patterns))
    first = run(pilot, out / "pilot", config)
    costs = step_costs(pilot, out / "pilot", config, device)
    count = affordable(first["rounds"], arguments.patterns, arguments.limit_s)
    enough = count <= pilot.n_patterns
    long = first if enough else run(source(arguments, count), out / "online", config)
    write(arguments, {"pilot": first, "online": long, **costs})
    found = long["result"]
    print(f"{found['patterns']} patterns, {found['patterns_per_s']:.0f} patterns/s")


if __name__ == "__main__":
    main()
