"""A picture of a phasing run: PRTF, R-factors, and the density cut through its middle."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from baselines.phasing.run import PhasingResult
from xraisim.core.fsc import Resolution
from xraisim.figure_axes import resolution_axis

_INK, _MARK = "#0072B2", "#D55E00"
_CUTS = (("yz", 0), ("xz", 1), ("xy", 2))


def figure(result: PhasingResult) -> Figure:
    """Return the picture: curves above, slices below."""
    drawn = Figure(figsize=(9.0, 6.4), layout="constrained")
    grid = drawn.add_gridspec(2, 1, height_ratios=(1.0, 1.1))
    left, right = drawn.add_subfigure(grid[0]).subplots(1, 2, width_ratios=(1.6, 1.0))
    draw_prtf(left, result.prtf_s.numpy(), result.prtf.numpy(), result.resolution)
    _r_factors(right, result)
    for axes, (name, axis) in zip(drawn.add_subfigure(grid[1]).subplots(1, 3), _CUTS, strict=True):
        _slice(axes, result, name, axis)
    return drawn


def draw_prtf(
    axes: Axes,
    s: Float[np.ndarray, "shells"],
    curve: Float[np.ndarray, "shells"],
    resolution: Resolution | None,
) -> None:
    """Draw the transfer function over ``s`` (Å⁻¹), and where it falls below 1/e."""
    axes.plot(s[1:], curve[1:], color=_INK, lw=1.5)
    axes.axhline(np.exp(-1), color="0.6", lw=0.8, ls="--")
    if resolution is not None and resolution.angstrom is not None:
        axes.axvline(1 / resolution.angstrom, color=_MARK, lw=0.8)
    axes.set(xlim=(0, s[-1]), ylim=(0, 1.02), xlabel="s (1/Å)", ylabel="PRTF")
    if resolution is not None:
        axes.text(0.02, 0.04, f"{resolution.rule} {resolution}", transform=axes.transAxes)
    resolution_axis(axes)


def _r_factors(axes: Axes, result: PhasingResult) -> None:
    for values, label, colour in (
        (result.coarse_r_factors, "coarse", "0.6"),
        (result.r_factors, "refined", _INK),
    ):
        axes.plot(range(1, len(values) + 1), values, "o-", ms=4, lw=0.8, color=colour, label=label)
    axes.axvline(result.kept + 0.5, color=_MARK, lw=0.8, label=f"{result.kept} averaged")
    axes.set(xlabel="start, best first", ylabel="R-factor", ylim=(0, None))
    axes.legend(frameon=False)


def _slice(axes: Axes, result: PhasingResult, name: str, axis: int) -> None:
    density = result.density
    plane = density.values.select(axis, density.grid // 2).numpy()
    half = density.grid * density.spacing / 2
    axes.imshow(
        plane.T,
        origin="lower",
        cmap="gray_r",
        vmin=0,
        vmax=max(float(density.values.max()), 1e-30),
        extent=(-half, half, -half, half),
    )
    room = 0.75 * result.diameter_angstrom
    axes.set(xlim=(-room, room), ylim=(-room, room))
    axes.set(xlabel=f"{name[0]} (Å)", ylabel=f"{name[1]} (Å)")
