"""X-RAI with and without its parts, over seeds: where its resolution and its time come from.

``python -m benchmarks.perf.xrai_variants --out runs/variants`` makes the patterns of a task once,
reconstructs them with every variant and seed, and scores intensities and poses against the truth:

- ``default``;
- ``one set``: no half-sets, every pattern against one volume;
- ``one start``: the first start is taken, settled or not;
- ``coarse search``: a quarter of the rotations and one hypothesis;
- ``no mates``: the near-symmetric pose is tried where poses are searched only;
- ``no reheat``: nothing is searched again;
- ``no synthesised``, ``only synthesised``: what the encoder learns from;
- ``no encoder``: it is not taught;
- ``single pass``: every pattern is read once;
- ``oracle``: no reconstruction, the patterns merged at their true orientations.

``--seeds 10 --variant default`` asks how often the default gets there, and ``--reach 40`` after how
many seconds the intensity first correlated with the truth to 40 Å (``icc_truth_0.5``), the start
included. What was made in the directory is used again.
"""

import argparse
import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.comparison import Truth, resolution
from benchmarks.methods.oracle import oracle
from benchmarks.metrics.icc_truth import NAME as ICC
from benchmarks.metrics.icc_truth import match_intensity
from benchmarks.metrics.pose_error import pose_error
from benchmarks.perf import perf_record
from benchmarks.perf.snapshots import snapshots
from benchmarks.task import Task, load_task
from benchmarks.worker import truth_of
from xrai import train as xrai
from xrai.config import TrainConfig
from xrai.state.round import ONLINE
from xraisim import console
from xraisim.core.symmetry import point_group
from xraisim.files.patterns import PatternReader
from xraisim.files.poses import read_poses
from xraisim.files.result import INTENSITY, POSES
from xraisim.files.volumes import read_volume
from xraisim.simulation import make

VARIANTS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "default": lambda c: c,
    "one set": lambda c: replace(c, rounds=replace(c.rounds, halves=False)),
    "one start": lambda c: replace(c, start=replace(c.start, restarts=1)),
    "coarse search": lambda c: replace(
        c, search=replace(c.search, rotations=c.search.rotations // 4, hypotheses=1)
    ),
    "no mates": lambda c: replace(c, refine=replace(c.refine, mates_every=10_000)),
    "no reheat": lambda c: replace(c, rounds=replace(c.rounds, reheats=0)),
    "no synthesised": lambda c: replace(c, encoder=replace(c.encoder, synthetic=0.0)),
    "only synthesised": lambda c: replace(c, encoder=replace(c.encoder, synthetic=1.0)),
    "no encoder": lambda c: replace(c, encoder=replace(c.encoder, steps=0)),
    "single pass": lambda c: replace(c, single_pass=True),
}
ORACLE = "oracle"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="X-RAI with and without its parts.")
    parser.add_argument("--task", default="quick")
    parser.add_argument("--patterns", type=int, help="instead of the task's")
    parser.add_argument("--resolution", type=float, help="Å, instead of the task's edge")
    variants = [*VARIANTS, ORACLE]
    parser.add_argument("--variant", action="append", choices=variants, help="default: all")
    parser.add_argument("--seeds", type=int, default=3, help="of the reconstruction")
    parser.add_argument("--reach", type=float, help="Å: after how many seconds it was reached")
    parser.add_argument("--out", type=Path, default=Path("runs/xrai-variants"))
    return parser.parse_args()


def task_of(options: argparse.Namespace) -> Task:
    """Return the task asked for, smaller or coarser if told so."""
    task = load_task(options.task)
    simulate = task.simulate
    if options.patterns:
        simulate = replace(simulate, patterns=options.patterns)
    if options.resolution:
        detector = replace(simulate.detector, s_max_per_angstrom=1 / options.resolution)
        simulate = replace(simulate, detector=detector)
    return replace(task, simulate=simulate)


def simulated(task: Task, directory: Path) -> Path:
    """Return the pattern file, made unless it is there."""
    path = directory / "patterns.h5"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        make.simulate(task.simulate, path)
    return path


def measured(
    task: Task, name: str, seed: int, patterns: Path, run: Path, reach: float | None
) -> dict[str, Any]:
    """Reconstruct unless that was done, and score."""
    note = run / "figures.json"
    if note.exists():
        return json.loads(note.read_text())
    began = time.monotonic()
    with snapshots(run, run / "snapshots") as seen:
        summary = _reconstruct(task, name, seed, patterns, run)
    seconds = time.monotonic() - began
    with PatternReader(patterns) as reader:
        radius = reader.pixels.radius
    truth = truth_of(task, patterns, (float(radius[0]), float(radius[-1])))
    found = {"seconds": round(seconds, 1)} | scores(task, truth, run)
    kept = ("encoder_", "seconds_", "warnings", "outliers", "peak_memory_gib")
    found |= {key: value for key, value in summary.items() if key.startswith(kept)}
    if reach is not None:
        found["seconds_to_reach"] = seen.seconds_to(reach, truth, task.score)
        found["new_patterns_per_s"] = _online_rate(run)
    shutil.rmtree(run / "snapshots", ignore_errors=True)
    perf_record.write(note, found)
    return found


def _reconstruct(task: Task, name: str, seed: int, patterns: Path, run: Path) -> dict[str, Any]:
    if name == ORACLE:
        run.mkdir(parents=True, exist_ok=True)
        oracle(patterns, run, task.merge)
        return {}
    return xrai.reconstruct(patterns, run, VARIANTS[name](replace(task.xrai, seed=seed))).rows()


def _online_rate(run: Path) -> float | None:
    """Return how many new patterns per second got poses and were merged."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    rounds = [one for one in map(json.loads, lines) if one.get("kind") == ONLINE]
    seconds = sum(one["patterns"] / one["patterns_per_s"] for one in rounds)
    return sum(one["patterns"] for one in rounds) / seconds if rounds else None


def scores(task: Task, truth: Truth, run: Path) -> dict[str, Any]:
    """Return how near a run's intensity and poses are to the truth."""
    volume = read_volume(run / INTENSITY)
    frame, _, curve = match_intensity(volume, truth, task.score, 0)
    poses = torch.from_numpy(read_poses(run / POSES)["orientations"])
    return {
        "resolution": dataclasses.asdict(resolution(curve, ICC, 0.5)),
        "icc_truth_outermost": curve.value[-1],
        "icc_truth": [list(curve.s_per_angstrom), list(curve.value)],
        **dataclasses.asdict(pose_error(poses, truth.orientations, frame, point_group("C1"))),
    }


def main() -> None:
    """Measure, print a line per run, and write ``variants.json`` into the directory."""
    options = _options()
    task = task_of(options)
    record = perf_record.circumstances() | {"task": task.name, "runs": []}
    patterns = simulated(task, options.out)
    for name in options.variant or [*VARIANTS, ORACLE]:
        for seed in range(options.seeds):
            run = options.out / f"{name.replace(' ', '-')}-{seed}"
            found = measured(task, name, seed, patterns, run, options.reach)
            record["runs"].append({"variant": name, "seed": seed, **found})
            console.say(
                f"{name}, seed {seed}: icc_truth_0.5 {found['resolution']['angstrom']} Å, "
                f"outermost {found['icc_truth_outermost']:.3f}, "
                f"pose error {found['median_deg']:.2f}° (p90 {found['p90_deg']:.2f}°), "
                f"{found['seconds']:.0f} s"
            )
            perf_record.write(options.out / "variants.json", record)


if __name__ == "__main__":
    main()
