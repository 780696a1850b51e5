"""How mode ``paper`` converges: loss and true pose error pass by pass, seed by seed.

    xrai-sim make --pdb 4v5d --chains 'B*' --n 50000 --resolution 40 --seed 11 --out p50k.h5
    python -m benchmarks.studies.as_published.convergence p50k.h5 --epochs 40 --seeds 0 \\
        --out as_published.json

The error is the median over the last 20,000 patterns of the encoder's poses, modulo the
near-symmetric mate, in the frame that fits them best; that of random poses is 102°.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.metrics.pose_error import pose_error
from benchmarks.studies.common import study_record
from xrai.decoder import DecoderConfig
from xrai.encoder.config import EndToEndConfig
from xrai.rounds.end_to_end import likeliest_start
from xrai.sources.stream import PatternStream
from xrai.state.monitor import Monitor
from xraisim.core.align_poses import align_poses
from xraisim.core.json_text import to_json
from xraisim.core.symmetry import point_group
from xraisim.files.truth import read_truth, truth_path

_JUDGED = 20_000
_BLOCK, _MEMORY_GIB = 2048, 2.0


def error_deg(poses: torch.Tensor, path: Path) -> float:
    """Return the median pose error in degrees of the last patterns of a file."""
    true = torch.from_numpy(read_truth(truth_path(path)).orientations).float()[-_JUDGED:]
    found, group = poses[-_JUDGED:].float(), point_group("C1").float()
    return pose_error(found, true, align_poses(found, true, group), group).median_modulo_mate_deg


def measure(
    stream: PatternStream, path: Path, config: EndToEndConfig, decoder: DecoderConfig, seed: int
) -> list[dict[str, Any]]:
    """Return the figures of every pass."""
    began, busy = time.monotonic(), time.process_time()
    passes: list[dict[str, Any]] = []
    cpu, monitor = torch.device("cpu"), Monitor(None, quiet=True)
    learner = likeliest_start(stream, config, cpu, monitor, decoder=decoder, seed=seed)
    tried = config.restarts * config.restart_patterns if config.restarts > 1 else 0
    while learner.passes < config.epochs:
        poses = learner.one_pass(monitor)
        passes.append({
            "presented": tried + learner.passes * len(stream),
            "seconds": time.monotonic() - began,
            "processor_seconds": time.process_time() - busy,
            "nll_per_photon": learner.nll_per_photon,
            "error_deg": error_deg(poses, path),
        })  # fmt: skip
        print(seed, to_json(passes[-1]), flush=True)
    return passes


def main() -> None:
    """Run the seeds one after another; write the record after each."""
    parser = study_record.seeded_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=EndToEndConfig().batch)
    parser.add_argument("--first-reach", type=float, default=EndToEndConfig().first_reach)
    parser.add_argument("--restarts", type=int, default=EndToEndConfig().restarts)
    parser.add_argument("--restart-patterns", type=int, default=EndToEndConfig().restart_patterns)
    parser.add_argument("--encoder-rate", type=float, default=EndToEndConfig().learning_rate)
    parser.add_argument("--decoder-rate", type=float, default=DecoderConfig().learning_rate)
    said = parser.parse_args()
    config = EndToEndConfig(
        epochs=said.epochs,
        batch=said.batch,
        learning_rate=said.encoder_rate,
        first_reach=said.first_reach,
        restarts=said.restarts,
        restart_patterns=said.restart_patterns,
    )
    decoder = replace(DecoderConfig(), learning_rate=said.decoder_rate)
    record: dict[str, Any] = {**study_record.circumstances(), "patterns": said.patterns.name}
    record["seeds"] = {}
    for seed in study_record.seeds(said):
        with PatternStream(said.patterns, _BLOCK, _MEMORY_GIB) as stream:
            found = measure(stream, said.patterns, config, decoder, seed)
        record["seeds"][seed] = found
        study_record.write(said.out, record)


if __name__ == "__main__":
    main()
