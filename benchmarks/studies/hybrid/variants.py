"""X-RAI with and without its parts, over seeds: where its resolution and its time come from.

``python -m benchmarks.studies.hybrid.variants --out runs/variants`` makes the patterns of a task
once, reconstructs them with every variant and seed, and scores intensities and poses against the
truth:

- ``default``;
- ``one set``: no half-sets, every pattern against one volume;
- ``one start``: the first start is taken, settled or not;
- ``coarse search``: a quarter of the rotations and one hypothesis;
- ``no mates``: the near-symmetric pose is tried where poses are searched only;
- ``no global search``: nothing is searched anew;
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

from benchmarks.comparison import ScoreConfig, TrueParticle, resolution
from benchmarks.methods.oracle import oracle
from benchmarks.metrics.icc_truth import NAME as ICC
from benchmarks.metrics.icc_truth import match_intensity
from benchmarks.metrics.pose_error import pose_error
from benchmarks.studies.common import study_record
from benchmarks.studies.common.snapshots import Snapshot, snapshots
from benchmarks.studies.common.stages import measured_range, metrics, orientations, simulated
from benchmarks.task import Task, load_task
from benchmarks.worker import truth_of
from xrai import train as xrai
from xrai.config import TrainConfig
from xrai.state import checkpoint
from xrai.state.round import ONLINE
from xraisim import console
from xraisim.core.symmetry import point_group
from xraisim.files.result import INTENSITY
from xraisim.files.volumes import read_volume

VARIANTS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "default": lambda c: c,
    "one set": lambda c: replace(c, rounds=replace(c.rounds, halves=False)),
    "one start": lambda c: replace(c, start=replace(c.start, restarts=1)),
    "coarse search": lambda c: replace(
        c, search=replace(c.search, rotations=c.search.rotations // 4, hypotheses=1)
    ),
    "no mates": lambda c: replace(c, refine=replace(c.refine, mates_every=10_000)),
    "no global search": lambda c: replace(c, rounds=replace(c.rounds, global_searches=0)),
    "no synthesised": lambda c: replace(c, encoder=replace(c.encoder, synthetic=0.0)),
    "only synthesised": lambda c: replace(c, encoder=replace(c.encoder, synthetic=1.0)),
    "no encoder": lambda c: replace(c, encoder=replace(c.encoder, steps=0)),
    "single pass": lambda c: replace(c, single_pass=True),
}
ORACLE = "oracle"


def _options() -> argparse.Namespace:
    parser = study_record.parser(__doc__, "runs/xrai-variants")
    parser.add_argument("--task", default="quick")
    parser.add_argument("--patterns", type=int, help="instead of the task's")
    parser.add_argument("--resolution", type=float, help="Å, instead of the task's edge")
    variants = [*VARIANTS, ORACLE]
    parser.add_argument("--variant", action="append", choices=variants, help="default: all")
    parser.add_argument("--seeds", type=int, default=3, help="of the reconstruction")
    parser.add_argument("--reach", type=float, help="Å: after how many seconds it was reached")
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


def measured(
    task: Task, name: str, seed: int, patterns: Path, run: Path, reach: float | None
) -> dict[str, Any]:
    """Reconstruct unless that was done, and score."""
    note = run / "figures.json"
    if note.exists():
        return json.loads(note.read_text())
    began = time.monotonic()
    with snapshots(run / checkpoint.NAME, run / "snapshots") as seen:
        summary = _reconstruct(task, name, seed, patterns, run)
    seconds = time.monotonic() - began
    truth = truth_of(task, patterns, measured_range(patterns))
    found = {"seconds": round(seconds, 1)} | scores(task, truth, run)
    kept = ("encoder_", "seconds_", "warnings", "outliers", "peak_memory_gib")
    found |= {key: value for key, value in summary.items() if key.startswith(kept)}
    if reach is not None:
        found["seconds_to_reach"] = seconds_to(reach, seen, truth, task.score)
        found["new_patterns_per_s"] = _online_rate(run)
    shutil.rmtree(run / "snapshots", ignore_errors=True)
    study_record.write(note, found)
    return found


def _reconstruct(task: Task, name: str, seed: int, patterns: Path, run: Path) -> dict[str, Any]:
    if name == ORACLE:
        run.mkdir(parents=True, exist_ok=True)
        oracle(patterns, run, task.merge)
        return {}
    return xrai.reconstruct(patterns, run, VARIANTS[name](replace(task.xrai, seed=seed))).rows()


def _online_rate(run: Path) -> float | None:
    """Return how many new patterns per second got poses and were merged."""
    rounds = metrics(run, kind=ONLINE) if (run / "metrics.jsonl").exists() else []
    seconds = sum(one["patterns"] / one["patterns_per_s"] for one in rounds)
    return sum(one["patterns"] for one in rounds) / seconds if rounds else None


def seconds_to(
    angstrom: float, seen: list[Snapshot], truth: TrueParticle, config: ScoreConfig
) -> float | None:
    """Return when the volume first reached ``icc_truth_0.5`` ≤ ``angstrom``; None: never.

    The end of the measured range, if the volume ends before it, counts as a crossing.
    """
    for one in seen:
        state = checkpoint.load(one.path.parent)
        if state.volume is None or not state.rounds:
            continue
        volume = state.volume
        reach = (volume.grid // 2 - 1) * volume.spacing
        within = replace(truth, s_range=(truth.s_range[0], min(truth.s_range[1], reach)))
        _, _, curve = match_intensity(volume, within, config, 0)
        found = resolution(curve, ICC, 0.5).angstrom
        if found is not None and found <= angstrom:
            return one.seconds
    return None


def scores(task: Task, truth: TrueParticle, run: Path) -> dict[str, Any]:
    """Return how near a run's intensity and poses are to the truth."""
    volume = read_volume(run / INTENSITY)
    frame, _, curve = match_intensity(volume, truth, task.score, 0)
    poses = orientations(run)
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
    record = study_record.circumstances() | {"task": task.name, "runs": []}
    patterns = simulated(task.simulate, options.out / "patterns.h5")
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
            study_record.write(options.out / "variants.json", record)


if __name__ == "__main__":
    main()
