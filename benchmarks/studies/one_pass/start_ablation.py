"""What each part of the amortised start is worth: one changed at a time, over seeds.

    xrai-sim make --pdb 4v5d --chains 'B*' --n 60000 --resolution 40 --seed 11 --out p60k.h5
    python -m benchmarks.studies.one_pass.start_ablation p60k.h5 --out start_ablation.json

A start is made of each variant and seed, without a restart, until it rests by itself. It is judged
by the first patterns, whose likeliest cell of the encoder is refined by Newton steps against the
start's volume: the median error and the share within 10° of the true pose, modulo the
near-symmetric mate, and what is unexplained.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.metrics.pose_error import pose_error
from benchmarks.studies.common import study_record
from xrai.config import AmortisedConfig, TrainConfig
from xrai.decoder.config import DecoderConfig
from xrai.encoder import Encoder
from xrai.encoder.config import EncoderConfig
from xrai.encoder.training import load
from xrai.poses.cells import CellProposals
from xrai.poses.finder import PoseFinder
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.refine import refine
from xrai.rounds.amortised_start import Start, amortised_start
from xrai.rounds.encoder_training import pixels_of
from xrai.sources.stream import PatternStream
from xrai.state.monitor import Monitor
from xraisim.core.align_poses import align_poses
from xraisim.core.symmetry import angle_modulo_mate, point_group
from xraisim.files.truth import read_truth, truth_path

JUDGED, STEPS = 2048, 3
START = AmortisedConfig(restarts=1)
VARIANTS: dict[str, TrainConfig] = {
    name: TrainConfig(mode="amortised", amortised=start, decoder=decoder)
    for name, start, decoder in (
        ("as it is", START, DecoderConfig()),
        ("1 candidate", replace(START, candidates=1), DecoderConfig()),
        ("4 candidates", replace(START, candidates=4), DecoderConfig()),
        ("64 candidates", replace(START, candidates=64), DecoderConfig()),
        ("not annealed", replace(START, cold_photons=1e9), DecoderConfig()),
        ("annealed twice as fast", replace(START, growth=1.03), DecoderConfig()),
        ("no cell at random", replace(START, explore=0.0), DecoderConfig()),
        ("middles of cells alone", replace(START, jitter=0.0), DecoderConfig()),
        ("the encoder of hybrid", replace(START, encoder=EncoderConfig()), DecoderConfig()),
        ("decoder: siren", START, DecoderConfig(form="siren")),
        ("decoder: hash", START, DecoderConfig(form="hash")),
    )
}


def measure(path: Path, config: TrainConfig) -> dict[str, Any]:
    """Return how a start of these settings ends."""
    began = time.monotonic()
    with PatternStream(path, config.block, config.memory_gib) as stream:
        finder = PoseFinder(stream, config, torch.device("cpu"))
        start = amortised_start(finder, Monitor(None, quiet=True))
        return {
            "seed": config.seed,
            "steps": start.trainer["steps"],
            "seconds": time.monotonic() - began,
            "settled": start.settled,
            "unexplained": start.unexplained,
            "loglik_per_pattern": start.loglik,
            **_errors(finder, start, path),
        }


def _errors(finder: PoseFinder, start: Start, path: Path) -> dict[str, float]:
    encoder = Encoder(pixels_of(finder).to("cpu"), finder.config.network, finder.group)
    load(encoder, start.trainer["encoder"])
    low = finder.pixels_within(finder.s_search)
    ((_, photons),) = finder.stream.blocks(0, JUDGED)
    cells = CellProposals(start.volume, low, encoder, pixels_of(finder))
    first = cells.best(photons, 1)[:, 0].contiguous()
    steps = finder.steps(float(low.radius[-1]), STEPS)
    found = refine(PoseLikelihood(start.volume, low, photons), first, steps).quaternion
    true = torch.from_numpy(read_truth(truth_path(path)).orientations[:JUDGED]).float()
    group = point_group("C1").float()
    alignment = align_poses(found, true, group)
    error = pose_error(found, true, alignment, group)
    within = (angle_modulo_mate(alignment.to_reference_frame(found), true) < 10).float().mean()
    return {"error_deg": error.median_modulo_mate_deg, "within_10_deg": float(within)}


def main() -> None:
    """Run all variants, seed by seed; write the record after each start."""
    parser = study_record.seeded_parser(__doc__)
    parser.add_argument("--variants", help="names, separated by commas; by default all")
    said = parser.parse_args()
    study_record.ablate(
        said, VARIANTS, lambda config, seed: measure(said.patterns, replace(config, seed=seed))
    )


if __name__ == "__main__":
    main()
