"""Few frames on many voxels: Dragonfly's volume blows up, ours is held by its floor.

200 frames of 4BED, with Dragonfly's own settings but for the grid: two voxels per pixel, which is
eight per 1/D (its shipped configuration has twelve).
"""

from typing import Any

import numpy as np

from benchmarks.studies.emc import plots
from benchmarks.studies.emc.dragonfly import Changes, Run, Simulation
from benchmarks.studies.emc.ours import OursRun, march_to, run_ours
from benchmarks.studies.emc.task import HELD_OUT, Judge, Setting
from benchmarks.studies.emc.truth import reaches
from xraisim.core.types import Volume

FRAMES, NUM_DIV, ORIENTATIONS = 200, 4, 3240
ITERATIONS = 50
CHANGES: Changes = {
    # as many photons on larger pixels, so that the example takes minutes
    "parameters": {"detsize": 51, "pixsize": 1.5, "stoprad": 3, "ewald_rad": 400},
    "emc": {"num_div": NUM_DIV},
}


def measure(setting: Setting) -> dict[str, Any]:
    """Run both, judge every volume by photons seen and not seen; return the record."""
    frames = setting.simulation("few-200", FRAMES, CHANGES)
    judge = Judge.of(frames, setting.simulation("few-test", HELD_OUT, CHANGES), ORIENTATIONS)
    theirs = frames.reconstruct(setting.out / "few-dragonfly", ITERATIONS)
    high = frames.s_range[1] * (1 + 1e-6)
    config = march_to(high * frames.diameter_angstrom, 1 / high, ORIENTATIONS)
    folder = setting.out / "few-ours"
    ours = run_ours(frames.patterns(), folder, config, threads=setting.threads)
    curves = {"dragonfly": _theirs(judge, frames, theirs), "ours": _ours(judge, ours)}
    plots.divergence(setting.figures / "emc_divergence.png", curves)
    theirs_used = [row["used"] for row in curves["dragonfly"]]
    best = int(np.argmax(theirs_used))
    return {
        "frames": FRAMES,
        "orientations": ORIENTATIONS,
        "pixels": len(judge.pixels),
        "figures": {
            "Dragonfly's likelihood per photon of its own frames, best": theirs_used[best],
            "at iteration": curves["dragonfly"][best]["iteration"],
            "Dragonfly, last": curves["dragonfly"][-1],
            "ours, last": curves["ours"][-1],
        },
        **curves,
    }


def _judged(judge: Judge, volume: Volume) -> dict[str, float]:
    top = float(volume.values.max() / volume.values.mean())
    return {"peak_over_mean": top, **judge.likelihoods(volume)}


def _theirs(judge: Judge, frames: Simulation, run: Run) -> list[dict[str, Any]]:
    rows = []
    for line in run.log:
        _, weight = run.largest_voxel(line.iteration)
        judged = _judged(judge, run.volume(line.iteration, frames.spacing))
        rows.append(
            {
                "iteration": line.iteration,
                "beta": line.beta,
                "own_log_likelihood": line.log_likelihood,
                "rms_change": line.rms_change,
                "weight_of_the_largest_voxel": weight,
                **judged,
            }
        )
    return rows


def _ours(judge: Judge, run: OursRun) -> list[dict[str, Any]]:
    """Return the curve of the restart that went on, and of the levels after it."""
    leader = int(np.argmax([_final(run, n) for n in range(run.metrics[-1]["restart"])]))
    rows = []
    for number, (line, volume) in enumerate(zip(run.metrics, run.volumes(), strict=False), 1):
        if volume is None or (line["level"] == 1 and line["restart"] != leader):
            continue
        if not reaches(volume, judge.truth.s_range[1]):
            continue
        rows.append(
            {
                "iteration": number,
                "level": line["level"],
                "beta": line["beta"],
                "own_log_likelihood": line["log_likelihood"],
                **_judged(judge, volume),
            }
        )
    return rows


def _final(run: OursRun, restart: int) -> float:
    lines = [one for one in run.metrics if one["level"] == 1 and one["restart"] == restart]
    return lines[-1]["log_likelihood"]
