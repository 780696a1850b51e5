"""A sheet of the class averages as they lie on the detector."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from baselines.classify.kinds import Statistics
from xraisim.core.types import Pixels
from xraisim.inspection.figure import show, write_figure
from xraisim.inspection.image import read_assembly

_COLUMNS = 4


def write_sheet(
    path: Path,
    images: Float[Tensor, "K P"],
    pixels: Pixels,
    rows: list[Statistics],
    patterns: Path,
) -> None:
    """Draw every class but the blanks, with its kind, its count and its share."""
    assembly = read_assembly(patterns)
    drawn = [(image, row) for image, row in zip(images, rows, strict=True) if row.number > 0]
    columns = min(_COLUMNS, len(drawn))
    lines = math.ceil(len(drawn) / columns)
    figure = Figure(figsize=(3.1 * columns, 3.3 * lines + 0.4), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    masked = np.ones(math.prod(pixels.shape), bool)
    masked[pixels.index.numpy()] = False
    for axis in axes.flat[len(drawn) :]:
        axis.set_axis_off()
    for axis, (image, row) in zip(axes.flat, drawn, strict=False):
        whole = np.zeros(len(masked))
        whole[pixels.index.numpy()] = image.numpy()
        title = f"{row.number} {row.kind}: {row.patterns:,} ({100 * row.share:.1f} %)"
        show(axis, whole, masked, assembly, title)
    figure.suptitle(f"class averages; {rows[0].patterns:,} blank ({100 * rows[0].share:.1f} %)")
    write_figure(figure, path)
