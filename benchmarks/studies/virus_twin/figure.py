"""The twin in a picture: photons per pattern, its rings, and how far the reconstruction agrees.

``python -m benchmarks.studies.virus_twin.figure work/pr772 --out docs/images/pr772_twin.png`` draws
what a run of :mod:`benchmarks.studies.virus_twin.pr772` left. Of the measured patterns only the
numbers in ``MEASURED_…`` appear.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.studies.virus_twin.compare import structure_factors
from benchmarks.studies.virus_twin.pr772 import SETTINGS
from benchmarks.studies.virus_twin.settings import ExperimentSettings, load
from benchmarks.studies.virus_twin.shape import centre_of_mass
from xraisim.core.fourier import to_density
from xraisim.core.radial import mean_by_shell, shells_between
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.truth import read_truth, truth_path
from xraisim.files.volumes import read_volume
from xraisim.photons.hits import HIT_NAMES, SINGLE

#: Of 19 measured single hits: quartiles of the photons per pattern, and |s| (Å⁻¹) of the first
#: minimum and of the second maximum of their mean.
MEASURED_PHOTONS = 22_070, 25_770, 31_740
MEASURED_MINIMUM, MEASURED_MAXIMUM = 0.00245, 0.0031
_BLOCK = 1024
_PIXELS_PER_READ_OUT = 4


def photons_panel(axes: Axes, totals: np.ndarray, hits: np.ndarray) -> None:
    """Draw histograms of the photons per pattern, by kind of shot."""
    bins = np.geomspace(1e3, 2e5, 70).tolist()
    for kind, name in enumerate(HIT_NAMES):
        axes.hist(totals[hits == kind], bins, histtype="step", label=f"simulated: {name}")
    low, middle, high = MEASURED_PHOTONS
    axes.axvspan(low, high, color="0.85", label="measured single hits: quartiles")
    axes.axvline(middle, color="0.4", lw=1)
    axes.set(xscale="log", xlabel="photons per pattern", ylabel="patterns")
    axes.legend(fontsize=7)


def rings_panel(axes: Axes, radius: np.ndarray, mean: np.ndarray, background: np.ndarray) -> None:
    """Draw the mean of the single hits against |s|, per pixel of the measured detector."""
    columns = [torch.tensor(one, dtype=torch.float64) for one in (radius, mean, background)]
    edges = torch.from_numpy(np.arange(radius.min(), radius.max(), 1.5e-4)).double()
    shell = shells_between(columns[0], edges)
    s, simulated, known = (mean_by_shell(shell, one).numpy() for one in columns)
    filled = np.isfinite(s)
    for values, label in ((simulated, "simulated single hits"), (known, "their background")):
        axes.semilogy(s[filled], values[filled] / _PIXELS_PER_READ_OUT, label=label)
    axes.axvline(MEASURED_MINIMUM, color="0.4", lw=1, ls=":")
    axes.axvline(MEASURED_MAXIMUM, color="0.4", lw=1, ls="--")
    axes.set(xlabel="|s| (1/Å); lines: measured minimum, maximum", ylabel="photons per pixel")
    axes.legend(fontsize=7)


def curves_panel(axes: Axes, record: dict[str, Any]) -> None:
    """Draw the agreement with the truth against |s|."""
    for curve in record["curves"]:
        axes.plot(curve["s_per_angstrom"], curve["value"], label=curve["name"])
    axes.axhline(0.5, color="0.4", lw=1)
    axes.set(xlabel="|s| (1/Å)", ylabel="correlation", ylim=(-0.2, 1.05))
    axes.legend(fontsize=7)


def density_panel(axes: Axes, density: Volume, settings: ExperimentSettings) -> None:
    """Draw the section x = 0, in which corners and edges lie, with the truth's outline.

    A symmetric reconstruction is in the frame of the body up to the point group.
    """
    half = density.grid * density.spacing / 20
    x, y, z = (float(value) for value in centre_of_mass(density) / 10)
    extent = (-half - y, half - y, -half - z, half - z)
    middle = density.values[density.grid // 2 + round(10 * x / density.spacing)].T
    axes.imshow(middle, origin="lower", extent=extent, cmap="gray_r")
    spacing = 1 / (density.grid * density.spacing)
    true = to_density(structure_factors(settings.body, density.grid, spacing), spacing)
    middle = true[density.grid // 2].T
    axis = (torch.arange(density.grid) - density.grid // 2) * density.spacing / 10
    axes.contour(axis, axis, middle, levels=[0.5 * float(middle.max())], colors="C3", linewidths=1)
    reach = 0.08 * settings.body.diameter_angstrom
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="nm; red: the truth at its half")


def main(
    run: Annotated[Path, typer.Argument(help="Work directory of the experiment.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")],
    config: Annotated[Path, typer.Option(help="Its settings.")] = SETTINGS,
) -> None:
    """Draw the four panels."""
    hits = read_truth(truth_path(run / "patterns.h5")).hits
    with PatternReader(run / "patterns.h5") as reader:
        pixels, totals, total = reader.pixels, [], np.zeros(len(reader.pixels))
        for start in range(0, reader.n_patterns, _BLOCK):
            photons = reader.read(start, min(start + _BLOCK, reader.n_patterns))
            single = photons.take(np.flatnonzero(hits[start : start + len(photons)] == SINGLE))
            totals.append(photons.totals())
            total += np.bincount(single.pixel, single.count, minlength=len(pixels))
    figure = Figure(figsize=(17, 3.8), layout="constrained")
    axes = figure.subplots(1, 4)
    photons_panel(axes[0], np.concatenate(totals), hits)
    mean = total / (hits == SINGLE).sum()
    rings_panel(axes[1], pixels.radius.numpy(), mean, pixels.background.numpy())
    curves_panel(axes[2], json.loads((run / "record.json").read_text()))
    density = read_volume(run / "xrai" / "phasing" / "density.h5")
    density_panel(axes[3], density, load(config))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    typer.run(main)
