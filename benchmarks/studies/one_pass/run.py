"""One pass over a pattern file in a mode of `xrai train`, seed by seed, beside what is possible.

    xrai-sim make --pdb 4v5d --chains 'B*' --n 500000 --resolution 40 --seed 11 --out p40.h5
    python -m benchmarks.studies.one_pass.run p40.h5 --mode amortised --seeds 0,1,2,3,4 \\
        --out bars.json

The mode ``emc`` is `xrai-baseline emc` in place of it, which reads all patterns in every iteration.

For each seed: seconds of every stage, patterns per second over all, memory, warnings, the pose
error (median and 90th percentile, modulo the near-symmetric mate) of the patterns behind the start
and of the last ones, where they are read once that of every round by the time it ended (but for
those located again in the end), and the correlation shell by shell with the volume that the
patterns give at their true poses. The reference is the pose error of Newton steps from the true
poses against that volume. Patterns that are no single hits of the particle count in no error; how
many of each kind got a weight below one half, and their fluence, is told apart. With ``--unseen``
the encoder alone says the poses of another file.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines import emc
from baselines.emc import EmcConfig
from benchmarks.metrics.pose_error import pose_error
from benchmarks.studies.common import study_record
from benchmarks.studies.common.stages import metrics
from xrai.config import TrainConfig
from xrai.decoder import VolumeConfig
from xrai.infer import find_poses
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.refine import NewtonSteps, refine
from xrai.state.round import ONLINE, RELOCATE
from xrai.train import reconstruct
from xraisim.core import config as configuration
from xraisim.core.align import Alignment, rotate_volume
from xraisim.core.align_poses import align_poses
from xraisim.core.closed_form import volume_from_sums
from xraisim.core.fsc import intensity_correlation
from xraisim.core.json_text import to_json
from xraisim.core.merge import Accumulator
from xraisim.core.radial import shell_s
from xraisim.core.symmetry import angle_modulo_mate, point_group
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.poses import read_poses
from xraisim.files.result import INTENSITY, POSES
from xraisim.files.truth import read_truth, truth_path
from xraisim.files.volumes import read_volume
from xraisim.photons.hits import HIT_NAMES

_BLOCK = 4096
_MERGED = 40_000  # patterns of the reference volume: more hardly change it
_JUDGED = 20_000  # patterns behind the start, and the last ones
_GROUPED = 0.5  # of s·D between the shells told


def reference(path: Path, like: Volume) -> tuple[Volume, float]:
    """Return the volume at true poses, and the median error (degrees) of Newton steps from them."""
    truth = read_truth(truth_path(path))
    hits = np.flatnonzero(truth.hits == 1)[:_MERGED]
    with PatternReader(path) as reader:
        pixels = reader.pixels
        diameter = float(reader.info["particle_diameter_angstrom"])
        sums = Accumulator.empty(like.grid, like.spacing)
        within = pixels.first(pixels.count_below((like.grid // 2 - 2) * like.spacing))
        for rows in np.array_split(hits, max(1, len(hits) // _BLOCK)):
            poses = torch.from_numpy(truth.orientations[rows]).float()
            photons = reader.read(int(rows[0]), int(rows[-1]) + 1).take(rows - rows[0])
            sums.add(within, photons, poses, torch.from_numpy(truth.fluence[rows]).float(), like)
        volume = volume_from_sums(sums, diameter, VolumeConfig())
        rows = hits[:_BLOCK]
        photons = reader.read(int(rows[0]), int(rows[-1]) + 1).take(rows - rows[0])
        true = torch.from_numpy(truth.orientations[rows]).float()
        steps = NewtonSteps(6, 1 / (float(within.radius[-1]) * diameter))
        found = refine(PoseLikelihood(volume, within, photons), true, steps).quaternion
    turned = angle_modulo_mate(found, true)
    return volume, float(turned.median())


def judged(run: Path, path: Path, symmetry: str, unseen: Path | None) -> dict[str, Any]:
    """Return the figures of one run."""
    found = read_volume(run / INTENSITY)
    best, least_deg = reference(path, found)
    with PatternReader(path) as reader:
        s_max = min(float(reader.pixels.radius[-1]), (found.grid // 2 - 2) * found.spacing)
        diameter = float(reader.info["particle_diameter_angstrom"])
    alignment = align_poses(*_single_hits(run, path), point_group(symmetry).float())
    turned = rotate_volume(best, alignment.quaternion, found.grid, found.spacing)
    curve, s = (
        intensity_correlation(found.values, turned.values),
        shell_s(found.grid, found.spacing),
    )
    every = max(1, round(_GROUPED / (found.spacing * diameter)))
    shells = [k for k in range(every, len(s), every) if s[k] <= s_max and curve[k].isfinite()]
    return {
        "reference_error_deg": least_deg,
        "shells": {round(float(s[k]) * diameter, 1): round(float(curve[k]), 4) for k in shells},
        **_poses(run, path, alignment, symmetry),
        **({} if unseen is None else _encoder_alone(run, unseen, alignment, symmetry)),
    }


def _encoder_alone(run: Path, unseen: Path, alignment: Alignment, symmetry: str) -> dict[str, Any]:
    """Return the encoder's first choices of patterns that the run has not seen."""
    out = run / "unseen.h5"
    began = time.monotonic()
    find_poses(run, unseen, out, encoder_only=True)
    seconds = time.monotonic() - began
    poses = torch.from_numpy(read_poses(out)["orientations"]).float()
    true = torch.from_numpy(read_truth(truth_path(unseen)).orientations).float()
    error = pose_error(poses, true, alignment, point_group(symmetry).float())
    return {
        "encoder_only_error_deg": [error.median_modulo_mate_deg, error.p90_modulo_mate_deg],
        "encoder_only_patterns_per_s": len(poses) / seconds,
    }


def _single_hits(run: Path, path: Path) -> tuple[Tensor, Tensor]:
    """Return found and true poses of single hits, of many at most."""
    poses = torch.from_numpy(read_poses(run / POSES)["orientations"])
    truth = read_truth(truth_path(path))
    n = len(poses)
    good = torch.from_numpy(truth.hits[:n] == 1) & poses.isfinite().all(1)
    index = torch.nonzero(good)[-_JUDGED:, 0]
    return poses[index].float(), torch.from_numpy(truth.orientations[:n]).float()[index]


def _poses(run: Path, path: Path, alignment: Alignment, symmetry: str) -> dict[str, Any]:
    columns = {name: torch.from_numpy(one) for name, one in read_poses(run / POSES).items()}
    poses, fluence = columns["orientations"], columns["fluence"]
    n = len(poses)
    weight = columns.get("weight", torch.ones(n))
    truth = read_truth(truth_path(path))
    true, group = torch.from_numpy(truth.orientations[:n]).float(), point_group(symmetry).float()
    hit = torch.from_numpy(truth.hits[:n] == 1)

    def of(rows: slice) -> list[float]:
        some: Tensor = hit[rows]
        error = pose_error(poses[rows][some], true[rows][some], alignment, group)
        return [error.median_modulo_mate_deg, error.p90_modulo_mate_deg]

    figures: dict[str, Any] = {
        "first_error_deg": of(slice(0, _JUDGED)),
        "last_error_deg": of(slice(max(0, n - _JUDGED), n)),
    }
    rounds = metrics(run, event="round")
    again = max((one["patterns"] for one in rounds if one["kind"] == RELOCATE), default=0)
    online = [one for one in rounds if one["kind"] == ONLINE]
    if {one["kind"] for one in rounds} <= {ONLINE, RELOCATE}:
        figures["rounds_online"] = [
            [one["elapsed_s"], seen, *of(slice(seen - one["patterns"], seen))]
            for one in online
            if (seen := one["patterns_seen"]) > again
        ]
    if not hit.all():
        for number, name in enumerate(HIT_NAMES):
            some = torch.from_numpy(truth.hits[:n] == number)
            if some.any():
                figures[f"left_out_of_{name}"] = float((weight[some] < 0.5).float().mean())
                figures[f"fluence_of_{name}"] = float(fluence[some].median())
    return figures


def measure(path: Path, config: TrainConfig, symmetry: str, unseen: Path | None) -> dict[str, Any]:
    """Return the figures of one seed."""
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        found = reconstruct(path, run, config)
        starts = metrics(run, event="start")
        kept = ("patterns", "patterns_per_s", "seconds", "peak_memory_gib", "warnings")
        return {
            "seed": config.seed,
            "mode": config.mode,
            **{name: getattr(found, name) for name in kept},
            "rounds": found.figures["rounds"],
            **{name: value for name, value in found.figures.items() if name.startswith("seconds")},
            "restarts": starts[-1]["restart"] if starts else 0,
            "start_ended_s": starts[-1]["elapsed_s"] if starts else None,
            **judged(run, path, symmetry, unseen),
        }


def measure_emc(path: Path, config: EmcConfig) -> dict[str, Any]:
    """Return the figures of one seed of EMC."""
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        found = emc.reconstruct(path, run, config)
        kept = ("patterns", "patterns_per_s", "seconds", "peak_memory_gib")
        return {
            "seed": config.seed,
            "mode": "emc",
            **{name: getattr(found, name) for name in kept},
            "iterations": found.figures["iterations"],
            **judged(run, path, config.symmetry, None),
        }


def main() -> None:
    """Run the seeds one after another; write the record after each."""
    parser = study_record.seeded_parser(__doc__)
    parser.add_argument("--mode", default="amortised")
    parser.add_argument("--config", type=Path, help="TOML of further settings")
    parser.add_argument("--symmetry", default="C1", help="poses are compared modulo it")
    parser.add_argument("--unseen", type=Path, help="patterns that the encoder alone poses")
    said = parser.parse_args()
    record: dict[str, Any] = {**study_record.circumstances(), "patterns": said.patterns.name}
    record["runs"] = []
    for seed in study_record.seeds(said):
        record["runs"].append(_measured(said, seed))
        study_record.write(said.out, record)
        print(to_json(record["runs"][-1]))


def _measured(said: argparse.Namespace, seed: int) -> dict[str, Any]:
    if said.mode == "emc":
        of_emc = {"seed": seed, "symmetry": said.symmetry}
        config = configuration.given_or_default(EmcConfig, said.config, of_emc)
        return measure_emc(said.patterns, config)
    given = {"mode": said.mode, "seed": seed}
    of_train = configuration.given_or_default(TrainConfig, said.config, given)
    return measure(said.patterns, of_train, said.symmetry, said.unseen)


if __name__ == "__main__":
    main()
