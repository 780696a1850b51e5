"""Whole runs from a random start, to the truth correlation of Dragonfly's finished run."""

import statistics
from typing import Any

from benchmarks.studies.emc import plots
from benchmarks.studies.emc.dragonfly import Run, Simulation
from benchmarks.studies.emc.ours import OursRun, march_to, run_ours
from benchmarks.studies.emc.task import HELD_OUT, Judge, Setting
from benchmarks.studies.emc.truth import Agreement, first_reaching

FRAMES, ORIENTATIONS = 3000, 10_860


def measure(setting: Setting) -> dict[str, Any]:
    """Run ours, Dragonfly, and ours again; return the record."""
    frames = setting.simulation("4bed-3000", FRAMES)
    judge = Judge.of(frames, setting.simulation("4bed-test", HELD_OUT), ORIENTATIONS)
    ours = [_ours(setting, frames, 0)]
    theirs = frames.reconstruct(setting.out / "whole-dragonfly", setting.iterations)
    ours += [_ours(setting, frames, seed) for seed in range(1, setting.repeats)]
    their_curve = _their_curve(judge, frames, theirs)
    target = their_curve[-1]["truth_correlation"]
    our_curves = [_our_curve(judge, run) for run in ours]
    their_s = _reach(their_curve, target)
    our_s = [_reach(curve, target) for curve in our_curves]
    figures = {
        "truth correlation of Dragonfly's finished run": round(target, 4),
        "Dragonfly reaches it after (s)": their_s,
        "ours reach it after (s)": our_s,
        "times faster, slowest of ours": _ratio(their_s, our_s),
        "final correlations of ours": [curve[-1]["truth_correlation"] for curve in our_curves],
        "likelihood per photon, Dragonfly": judge.likelihoods(
            theirs.volume(len(theirs.log), frames.spacing)
        ),
        "likelihood per photon, ours": [judge.likelihoods(run.volumes()[-1]) for run in ours],  # type: ignore[arg-type]
        "likelihood per photon, truth": judge.likelihoods(judge.truth.volume),
        "whole commands of ours, median (s)": statistics.median(run.wall_s for run in ours),
    }
    plots.whole(setting.figures / "emc_peers.png", their_curve, our_curves, target)
    return {
        "frames": FRAMES,
        "orientations": ORIENTATIONS,
        "pixels": len(judge.pixels),
        "figures": figures,
        "dragonfly": their_curve,
        "ours": our_curves,
        "their_shells": _shells(judge, frames, theirs),
    }


def _ours(setting: Setting, frames: Simulation, seed: int) -> OursRun:
    high = frames.s_range[1] * (1 + 1e-6)
    config = setting.ours or march_to(high * frames.diameter_angstrom, 1 / high, ORIENTATIONS)
    folder = setting.out / f"whole-ours-{seed}"
    return run_ours(frames.patterns(), folder, config, threads=setting.threads, seed=seed)


def _their_curve(judge: Judge, frames: Simulation, run: Run) -> list[dict[str, Any]]:
    numbers = [line.iteration for line in run.log]
    found = judge.agreements(
        run.folder / "agreement.json",
        ((n, run.volume(n, frames.spacing)) for n in numbers),
    )
    return [
        {
            "iteration": line.iteration,
            "done_s": round(done, 2),
            "seconds": line.seconds,
            "beta": line.beta,
            "own_log_likelihood": line.log_likelihood,
            "truth_correlation": round(one.mean, 5),
        }
        for line, done, one in zip(run.log, run.done_s, found, strict=False)
    ]


def _our_curve(judge: Judge, run: OursRun) -> list[dict[str, Any]]:
    volumes = list(enumerate(run.volumes(), 1))
    found: list[Agreement | None] = judge.agreements(run.folder / "agreement.json", volumes)
    return [
        {
            "iteration": number,
            "done_s": round(done, 2),
            "seconds": line["seconds"],
            "level": line["level"],
            "restart": line["restart"],
            "beta": line["beta"],
            "own_log_likelihood": line["log_likelihood"],
            "truth_correlation": None if one is None else round(one.mean, 5),
        }
        for (number, _), done, line, one in zip(
            volumes, run.done_s, run.metrics, found, strict=False
        )
    ]


def _reach(curve: list[dict[str, Any]], target: float) -> float | None:
    values = [one["truth_correlation"] or 0.0 for one in curve]
    return first_reaching(values, [one["done_s"] for one in curve], target)


def _ratio(theirs: float | None, ours: list[float | None]) -> float | None:
    """Return how many times faster the slowest of ours is; None if one did not get there."""
    reached = [one for one in ours if one is not None]
    if theirs is None or len(reached) < len(ours):
        return None
    return round(theirs / max(reached), 1)


def _shells(judge: Judge, frames: Simulation, run: Run) -> dict[str, Any]:
    last = len(run.log)
    (found,) = judge.agreements(
        run.folder / "agreement.json", [(last, run.volume(last, frames.spacing))]
    )
    return dict(vars(found))
