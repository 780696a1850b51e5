"""A plan as a picture: photons and patterns needed over resolution."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xraisim.figure_axes import resolution_axis
from xraisim.files.atomic import whole_file
from xraisim.planning.plan import Plan


def plan_figure(plan: Plan, path: Path | str) -> None:
    """Write the picture (PNG), whole or not at all."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(
        f"{plan.structure} ({plan.diameter_angstrom:.0f} Å) on {plan.instrument}: "
        f"{plan.photons_per_pattern:,.0f} photons per pattern",
        fontsize=11,
    )
    _photons(left, plan)
    _patterns(right, plan)
    for axes in (left, right):
        _limits(axes, plan)
        axes.legend(frameon=False, fontsize=9)
        resolution_axis(axes)
    with whole_file(Path(path)) as partial:
        figure.savefig(partial, format="png", dpi=110)


def _columns(plan: Plan, *names: str) -> list[Float64[np.ndarray, "shells"]]:
    return [np.array([getattr(shell, name) for shell in plan.shells], float) for name in names]


def _edges(plan: Plan) -> Float64[np.ndarray, "_"]:
    inner, outer = _columns(plan, "s_min_per_angstrom", "s_max_per_angstrom")
    return np.stack([inner, outer], axis=1).reshape(-1)


def _steps(axes: Axes, plan: Plan, values: Float64[np.ndarray, "shells"], **style: Any) -> None:
    """Draw one level per shell; what is zero or infinite has no place on a logarithmic axis."""
    shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    axes.semilogy(_edges(plan), np.repeat(shown, 2), **style)


def _photons(axes: Axes, plan: Plan) -> None:
    signal, background, total = _columns(
        plan, "photons_per_pixel", "background_per_pixel", "photons_per_pattern"
    )
    _steps(axes, plan, total, color="0.65", label="photons in the shell")
    _steps(axes, plan, signal, color="C0", label="photons per pixel")
    if background.any():
        _steps(axes, plan, background, color="C1", label="background per pixel")
    axes.set_ylabel("mean photons per pattern")


def _patterns(axes: Axes, plan: Plan) -> None:
    photons, coverage = _columns(plan, "patterns_for_photons", "patterns_for_coverage")
    _steps(axes, plan, photons, color="C0", label=f"for a correlation of {plan.correlation:g}")
    _steps(axes, plan, coverage, color="C2", label="for every voxel to be met")
    axes.set_ylabel("patterns needed at known orientations")


def _limits(axes: Axes, plan: Plan) -> None:
    marks = {"edge": plan.edge_resolution_angstrom, "√(λD)": plan.flat_resolution_angstrom}
    outer = plan.shells[-1].s_max_per_angstrom
    axes.set(xlabel="s = 1/d (1/Å)", xlim=(plan.shells[0].s_min_per_angstrom, outer))
    for name, resolution in marks.items():
        if resolution and 1 / resolution < outer:
            axes.axvline(1 / resolution, color="0.5", lw=0.8, ls=":")
            axes.text(
                1 / resolution, 0.02, f" {name}", color="0.4", fontsize=8,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
