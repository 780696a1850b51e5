"""Two particles, blanks and balls in one file: what EMC's classes make of them from random starts.

``python -m benchmarks.studies.emc.classes --out runs/classes`` simulates both subunits of the
ribosome in equal parts, a tenth of blanks and a tenth of balls beside them, at two brightnesses,
reconstructs with two classes and with junk, and counts where every kind of shot went.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from baselines.emc import EmcConfig, Level, reconstruct
from benchmarks.studies.common import study_record
from benchmarks.studies.common.stages import simulated
from xraisim import console
from xraisim.core.json_text import to_json
from xraisim.files.poses import read_poses
from xraisim.files.result import POSES
from xraisim.files.truth import Truth, read_truth, truth_path
from xraisim.photons.hits import HIT_NAMES, SINGLE
from xraisim.simulation.config import from_mapping

_SUBUNITS = {"50S": "B*", "30S": "A*"}
_PULSES = {"x1": 1e13, "x0.1": 1e12}
_SETTINGS = EmcConfig(
    levels=(
        Level(reach=4.9, rotations=3000, iterations=20, information=(0.36, 0.9), ramp=15),
        Level(reach=7.0, rotations=12_000, iterations=6, information=(0.6, 0.95), ramp=4),
    ),
    restarts=1,
    classes=2,
    junk=4,
)


def main(
    out: Annotated[Path, typer.Option(help="Work directory.")] = Path("runs/emc-classes"),
    patterns: Annotated[int, typer.Option(help="Shots, all kinds together.")] = 3000,
    seeds: Annotated[int, typer.Option(help="Random starts of each.")] = 2,
) -> None:
    """Simulate, reconstruct, count; write ``record.json``."""
    record, runs = study_record.circumstances(), []
    for light, photons in _PULSES.items():
        path = simulated(from_mapping(_experiment(patterns, photons)), out / f"{light}.h5")
        truth = read_truth(truth_path(path))
        for seed in range(seeds):
            run = out / f"{light}-{seed}"
            done = reconstruct(path, run, replace(_SETTINGS, seed=seed))
            found = {"light": light, "seed": seed, "seconds": round(done.seconds, 1)}
            runs.append(found | {"shots": counted(run / POSES, truth)})
            console.say(to_json(runs[-1]))
    study_record.write(out / "record.json", record | {"patterns": patterns, "runs": runs})


def _experiment(patterns: int, photons_per_pulse: float) -> dict[str, Any]:
    return {
        "patterns": patterns,
        "instrument": "xrai2025",
        "species": [{"structure": "4v5d", "chains": one} for one in _SUBUNITS.values()],
        "beam": {"photons_per_pulse": photons_per_pulse},
        "detector": {"s_min_per_angstrom": 0.004, "s_max_per_angstrom": 1 / 30},
        "fluence": {"distribution": "lognormal", "sigma": 0.3},
        "hits": {
            "blank_fraction": 0.1,
            "contaminant_fraction": 0.1,
            "contaminant_radius_angstrom": 100.0,
            "contaminant_radius_spread": 0.15,
        },
    }


def counted(poses: Path, truth: Truth) -> dict[str, list[int]]:
    """Return, for each kind of shot, how many went to each class."""
    number = read_poses(poses)["class_id"]
    first = truth.particles.offsets[:-1]
    species = truth.particles.model[np.minimum(first, len(truth.particles.model) - 1)]
    kinds = {
        name: (truth.hits == SINGLE) & (species == index) for index, name in enumerate(_SUBUNITS)
    }
    others = {name: truth.hits == hit for hit, name in enumerate(HIT_NAMES) if hit != SINGLE}
    classes = _SETTINGS.classes + _SETTINGS.junk
    return {
        name: np.bincount(number[which], minlength=classes + 1)[1:].tolist()
        for name, which in (kinds | others).items()
        if which.any()
    }


if __name__ == "__main__":
    typer.run(main)
