"""Patterns as they lie in the laboratory: pixels drawn where they are, panels, gaps, turns and all.

A detector of several panels is stored as one slab, which shows nothing; so every cell of an image
grid takes the value of the pixel nearest to it, and stays empty where there is none.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy.spatial import cKDTree

from xraisim.core.errors import reads
from xraisim.files.held import read_whole

_MOST_CELLS = 1400  # along the longer side
_REACH = 0.75  # of the pitch, from a pixel to the cells that it fills: over half a diagonal
_PITCH_PIXELS = 4000
_MARGIN = 0.03


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """Which pixel each cell of an image shows: ``pixel`` int64 [rows, columns], −1 where none.

    ``extent`` is (left, right, bottom, top) in mm, x and y of the lab frame, row 0 at the bottom.
    """

    pixel: np.ndarray
    extent: tuple[float, float, float, float]

    def image(self, values: np.ndarray, mask: np.ndarray) -> np.ma.MaskedArray:
        """Return ``values`` [P] as an image; masked where there is no pixel or ``mask`` is True."""
        hidden = (self.pixel < 0) | mask[self.pixel]
        return np.ma.masked_array(values[self.pixel], hidden)

    def gaps(self) -> np.ndarray:
        """Return True where the image has no pixel, bool [rows, columns]."""
        return self.pixel < 0

    def window(self, mask: np.ndarray) -> tuple[float, float, float, float]:
        """Return the part of ``extent`` with pixels that ``mask`` [P] leaves, and a margin."""
        left, right, bottom, top = self.extent
        rows, columns = self.pixel.shape
        seen = (self.pixel >= 0) & ~mask[self.pixel]
        x = _span(seen.any(0)) * (right - left) / columns + left
        y = _span(seen.any(1)) * (top - bottom) / rows + bottom
        margin = _MARGIN * max(np.ptp(x), np.ptp(y))
        return x[0] - margin, x[1] + margin, y[0] - margin, y[1] + margin


def _span(seen: np.ndarray) -> np.ndarray:
    """Return where True begins and ends, in cells [2]; everything if there is none."""
    found = np.flatnonzero(seen)
    return np.array([found[0], found[-1] + 1.0] if len(found) else [0.0, len(seen)])


def assemble(position_mm: np.ndarray) -> Assembly:
    """Return the image grid of pixels at ``position_mm`` [P, 3], seen against the beam.

    x runs to the right and y up. Pixels that coincide in x and y, on panels behind one another,
    cannot both be seen. The grid has the pixels' pitch, or a coarser one above 1,400 cells.
    """
    every = np.ascontiguousarray(position_mm[:, :2], np.float64)
    # A tree cannot part what lies at one place, and would look through all of it again and again.
    first = np.unique(every.view(np.complex128)[:, 0], return_index=True)[1]
    xy = every[first]
    tree, low, high = cKDTree(xy), xy.min(0), xy.max(0)
    pitch = _pitch(tree, xy)
    columns, rows = (np.round((high - low) / pitch).astype(int) + 1).tolist()
    cell = pitch * max(1.0, max(columns, rows) / _MOST_CELLS)
    columns, rows = (np.round((high - low) / cell).astype(int) + 1).tolist()
    x, y = low[0] + cell * np.arange(columns), low[1] + cell * np.arange(rows)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    _, place = tree.query(grid, distance_upper_bound=_REACH * max(cell, pitch))
    return Assembly(
        pixel=np.append(first, -1)[place],  # a cell without a place nearby has the one behind all
        extent=(x[0] - cell / 2, x[-1] + cell / 2, y[0] - cell / 2, y[-1] + cell / 2),
    )


@reads("pattern file")
def read_assembly(path: Path) -> Assembly:
    """Return the image grid of the pixels of a pattern file."""
    with h5py.File(path, "r") as file:
        return assemble(read_whole(file["detector/position"]).astype(np.float64))


def _pitch(tree: cKDTree, xy: np.ndarray) -> float:
    """Return the distance between neighbouring pixels in mm: the median of a few thousand."""
    some = np.unique(np.linspace(0, len(xy) - 1, _PITCH_PIXELS).astype(int))
    if len(xy) < 2:
        return 1.0
    nearest = tree.query(xy[some], k=2)[0][:, 1]
    return float(np.median(nearest))
