"""One converged iteration at 10,000 frames × 10,860 orientations, ours and Dragonfly's in turn.

Dragonfly starts from the true intensity with β = 1; its third iteration counts. Ours marches to
its last level, which has the same frames and orientations; that level's last iteration counts.
"""

import statistics
from typing import Any

from baselines.emc import Level
from benchmarks.studies.emc.ours import march_to, run_ours
from benchmarks.studies.emc.task import Setting

FRAMES, ORIENTATIONS = 10_000, 10_860
_THEIR_ITERATIONS = 3


def measure(setting: Setting) -> dict[str, Any]:
    """Take turns; return the record."""
    frames = setting.simulation("4bed-10000", FRAMES)
    high = frames.s_range[1] * (1 + 1e-6)
    reach = high * frames.diameter_angstrom
    last = Level(reach=reach, rotations=ORIENTATIONS, iterations=4, information=(1.0, 1.0))
    config = march_to(reach, 1 / high, ORIENTATIONS, last)
    ours, theirs, rows = [], [], []
    for turn in range(setting.repeats):
        folder = setting.out / f"iteration-ours-{turn}"
        mine = run_ours(frames.patterns(), folder, config, threads=setting.threads, seed=turn)
        other = frames.reconstruct(
            setting.out / f"iteration-dragonfly-{turn}",
            _THEIR_ITERATIONS,
            start=frames.truth(),
            beta=1.0,
        )
        ours.append(float(mine.metrics[-1]["seconds"]))
        theirs.append(other.log[-1].seconds)
        rows.append({"ours": mine.metrics[-4:], "ours_loads": mine.loads[-4:],
                     "dragonfly": [vars(line) for line in other.log],
                     "dragonfly_loads": other.loads})  # fmt: skip
    ratios = [their / my for their, my in zip(theirs, ours, strict=True)]
    return {
        "frames": FRAMES,
        "orientations": ORIENTATIONS,
        "figures": {
            "ours (s)": [round(one, 2) for one in ours],
            "Dragonfly (s)": theirs,
            "times faster, median of turns": round(statistics.median(ratios), 1),
        },
        "turns": rows,
    }
