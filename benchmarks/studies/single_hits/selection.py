"""Purity and completeness of single-hit selection on contaminated simulated patterns.

``python -m benchmarks.studies.single_hits.selection --seeds 3`` simulates, classifies, selects and
prints what became of every kind of shot.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import typer

from baselines.classify import ClassifyConfig, classify
from baselines.classify.selection import AUTO, read_selection, select
from xraisim.files.truth import read_truth, truth_path
from xraisim.instrument.background import Background
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector
from xraisim.photons.hits import HIT_NAMES, SINGLE, Hits
from xraisim.simulation import make
from xraisim.simulation.config import SimulationConfig

_LIMITS = (None, 1.75, 1.5)


def simulated(path: Path, patterns: int, seed: int) -> None:
    """Make half single hits of the 50S subunit, half blanks, several at once and balls."""
    config = SimulationConfig(
        structure="4v5d",
        chains="B*",
        patterns=patterns,
        seed=seed,
        beam=Beam(photons_per_pulse=1.3e12),
        detector=Detector(s_min_per_angstrom=0.004, s_max_per_angstrom=0.0556),
        background=Background(photons_per_pixel=0.005),
        hits=Hits(blank_fraction=0.2, multiple_fraction=0.15, contaminant_fraction=0.15),
    )
    make.simulate(config, path)


def main(seeds: int = 3, patterns: int = 2000) -> None:
    """Simulate, classify and select seed by seed; print a line per limit of brightness."""
    for seed in range(1, seeds + 1):
        with TemporaryDirectory() as name:
            path, run = Path(name) / "patterns.h5", Path(name) / "run"
            simulated(path, patterns, seed)
            summary = classify(path, run, ClassifyConfig())
            hits = read_truth(truth_path(path)).hits
            for limit in _LIMITS:
                select(run, AUTO, Path(name) / "selection.h5", limit)
                chosen = read_selection(Path(name) / "selection.h5", path).numpy()
                single = hits == SINGLE
                kept = np.bincount(hits[chosen], minlength=len(HIT_NAMES))
                counts = dict(zip(HIT_NAMES, kept.tolist(), strict=True))
                print(
                    f"seed {seed}, brightest {limit}: purity {single[chosen].mean():.3f}, "
                    f"completeness {chosen[single].mean():.3f}; kept {counts}; "
                    f"{summary.seconds:.0f} s"
                )


if __name__ == "__main__":
    typer.run(main)
