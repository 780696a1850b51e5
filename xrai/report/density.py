"""Planes through a density."""

import numpy as np
from matplotlib.figure import Figure

from xraisim.core.types import Volume
from xraisim.report_figures.volumes import PLANES

_BRIGHTEST = 0.9998  # quantile that stands for the maximum: one voxel says little
_LEAST = 0.03  # of the maximum: less is empty space, which is cut away


def density_slices(volume: Volume) -> Figure:
    """Return the three planes through a density's centre of mass, cut to where there is any."""
    values = volume.values.double().numpy()
    top = max(float(np.quantile(values, _BRIGHTEST)), 1e-30)
    there = np.argwhere(values > _LEAST * top)
    if not len(there):
        there = np.argwhere(np.ones_like(values))
    weight = np.clip(values[tuple(there.T)], 1e-30, None)
    middle = np.round(np.average(there, axis=0, weights=weight)).astype(int)
    step, origin = volume.spacing / 10, volume.grid // 2  # nm, and the voxel at zero
    edge = (origin + 0.5) * step
    reach = (np.abs(there - middle).max() + 3) * step
    figure = Figure(figsize=(12, 4.1), layout="constrained")
    row = figure.subplots(1, 3)
    for axes, (across, up, normal) in zip(row, PLANES, strict=True):
        plane = np.take(values, middle[normal], axis=normal) / top
        image = axes.imshow(
            plane.T, origin="lower", extent=(-edge, edge, -edge, edge), cmap="cividis", vmin=0,
            vmax=1, interpolation="bilinear",
        )  # fmt: skip
        x, y = ((middle["xyz".index(name)] - origin) * step for name in (across, up))
        axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))
        axes.set(xlabel=f"{across} (nm)", ylabel=f"{up} (nm)")
        axes.set_facecolor(image.get_cmap()(0.0))
    figure.colorbar(image, ax=row[2], label="density, relative to its maximum", shrink=0.85)
    return figure
