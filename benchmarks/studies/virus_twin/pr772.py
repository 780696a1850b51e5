"""A simulated twin of a measured virus experiment, from patterns to size, shape and resolution.

``python -m benchmarks.studies.virus_twin.pr772 --out work/pr772`` simulates, classifies and selects
single hits, reconstructs with icosahedral symmetry, phases, compares with the truth and writes
``record.json``. Run again, it goes on where it was stopped. ``--patterns 1500`` is a small version.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.studies.common import stages as common
from benchmarks.studies.common import study_record
from benchmarks.studies.virus_twin import shape, stages
from benchmarks.studies.virus_twin.compare import Comparison, compare, structure_factors
from benchmarks.studies.virus_twin.settings import ExperimentSettings, load
from xraisim.console import say
from xraisim.core import config as configuration
from xraisim.core.fourier import radius, to_density
from xraisim.core.json_text import to_json
from xraisim.core.symmetry import angle_modulo_mate, point_group
from xraisim.core.types import Volume
from xraisim.files.result import read_result
from xraisim.files.truth import Truth, read_truth, truth_path
from xraisim.files.volumes import read_volume
from xraisim.photons.hits import HIT_NAMES, SINGLE

SETTINGS = Path(__file__).with_name("pr772_twin.toml")
GROUP = "I"  # of the body that is simulated


def run(settings: ExperimentSettings, directory: Path, seed: int = 0) -> dict[str, Any]:
    """Run all stages in ``directory`` and return the record that is written there."""
    record = study_record.circumstances()
    patterns = common.simulated(settings.simulate, directory / "patterns.h5")
    chosen = stages.selected(settings, patterns, directory)
    found = common.trained(directory / "single.h5", directory / "xrai", settings.xrai)
    result = read_result(found)
    assert result is not None
    density = read_volume(stages.phased(found, settings.phase, seed) / "density.h5")
    truth = read_truth(truth_path(patterns))
    s_range = common.measured_range(patterns)
    intensity = read_volume(found / "intensity.h5")
    compared = compare(intensity, density, settings.body, s_range, seed)
    record |= {
        "seed": seed,
        "patterns": settings.simulate.patterns,
        "s_range_per_angstrom": s_range,
        "selection": selection_figures(truth.hits, chosen),
        "xrai": dataclasses.asdict(result),
        "rounds": common.rounds(found),
        "resolutions": [dataclasses.asdict(one) for one in compared.resolutions],
        "curves": [dataclasses.asdict(one) for one in compared.curves],
        "pose_error_deg": pose_figures(truth, chosen, common.orientations(found), compared),
        "shape": shape_figures(settings, intensity, density, s_range[0], compared),
        "config": configuration.to_mapping(settings),
    }
    study_record.write(directory / "record.json", record)
    return record


def selection_figures(hits: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
    """Return how many of each kind of shot there are and were kept, purity and completeness."""
    there = np.bincount(hits, minlength=len(HIT_NAMES))
    kept = np.bincount(hits[chosen], minlength=len(HIT_NAMES))
    return {
        "shots": dict(zip(HIT_NAMES, there.tolist(), strict=True)),
        "kept": dict(zip(HIT_NAMES, kept.tolist(), strict=True)),
        "purity": float(kept[SINGLE] / kept.sum()),
        "completeness": float(kept[SINGLE] / there[SINGLE]),
    }


def pose_figures(
    truth: Truth, chosen: np.ndarray, found: torch.Tensor, compared: Comparison
) -> dict[str, float]:
    """Return quantiles of the angles to the truth of the single hits that were kept, degrees."""
    single = truth.hits[chosen] == SINGLE
    true = torch.from_numpy(truth.orientations[chosen][single])
    posed = compared.alignment.to_reference_frame(found[torch.from_numpy(single)])
    errors = angle_modulo_mate(posed, true, point_group(GROUP).to(posed)).double()
    return {name: float(errors.quantile(q)) for name, q in (("median", 0.5), ("p90", 0.9))}


def shape_figures(
    settings: ExperimentSettings,
    intensity: Volume,
    density: Volume,
    s_min: float,
    compared: Comparison,
) -> dict[str, Any]:
    """Return size and shape of the reconstruction, and of the body at the same resolution."""
    body, turn = settings.body, compared.alignment.quaternion
    spacing = 1 / (density.grid * density.spacing)
    F = structure_factors(body, density.grid, spacing, turn)
    F = torch.where(radius(density.grid, spacing) <= (density.grid // 2) * spacing, F, 0)
    true = Volume(values=to_density(F, spacing), spacing=density.spacing, kind="density")
    exact = structure_factors(body, intensity.grid, intensity.spacing, turn).abs() ** 2
    ideal = Volume(values=exact, spacing=intensity.spacing, kind="intensity")
    expected = (6 * body.volume_angstrom3 / np.pi) ** (1 / 3)
    return {
        "found": one_shape(intensity, density, expected, s_min, turn),
        "true": one_shape(ideal, true, expected, s_min, turn),
    }


def one_shape(
    intensity: Volume,
    density: Volume,
    expected_angstrom: float,
    s_min: float,
    turn: torch.Tensor,
) -> dict[str, float]:
    """Return size and shape of one particle, Å."""
    corner, face = shape.corner_to_face(density, turn)
    return {
        "sphere_diameter_angstrom": shape.volume_diameter_angstrom(
            intensity, expected_angstrom, s_min
        ),
        "radius_of_gyration_angstrom": shape.radius_of_gyration_angstrom(density),
        "corner_angstrom": corner,
        "face_angstrom": face,
        "corner_to_face": corner / face,
    }


def main(
    out: Annotated[Path, typer.Option(help="Work directory.")] = Path("work/pr772"),
    config: Annotated[Path, typer.Option(help="Settings.")] = SETTINGS,
    patterns: Annotated[int | None, typer.Option(help="Shots, all kinds together.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every stage.")] = 0,
) -> None:
    """Run the experiment and print what it found."""
    settings = load(config).seeded(seed)
    settings = settings if patterns is None else settings.of(patterns)
    record = run(settings, out, seed)
    shown = ("selection", "resolutions", "pose_error_deg", "shape")
    typer.echo(to_json({key: record[key] for key in shown}, indent=1))
    say(f"record in {out / 'record.json'}")


if __name__ == "__main__":
    typer.run(main)
