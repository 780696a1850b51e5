"""Surfaces of equal value in a volume, by surface nets.

Gibson (1998), "Constrained elastic surface nets", in the form without relaxation: a cell of eight
grid points that the surface cuts holds one vertex, the mean of the points where the surface crosses
its edges, and each grid edge that is crossed joins the vertices of its four cells to a quad.
"""

from dataclasses import dataclass

import numpy as np

# The four cells around an edge, as steps back along the two other axes: counter-clockwise.
_AROUND = ((0, 0), (1, 0), (1, 1), (0, 1))


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A closed surface: ``vertices`` float64 [V, 3] in voxels; ``quads`` int64 [Q, 4].

    Voxel (0, 0, 0) has the coordinates (0, 0, 0). The corners of a quad run counter-clockwise seen
    from where the values are below the level.
    """

    vertices: np.ndarray
    quads: np.ndarray


def surface(values: np.ndarray, level: float) -> Surface:
    """Return where finite ``values`` [G, G, G] equal ``level``; the edge of the grid closes it."""
    # A shell of the lowest value: nothing that is above the level reaches the edge.
    padded = np.pad(values.astype(np.float64), 1, constant_values=min(values.min(), level))
    cells = np.array(padded.shape) - 1
    count = np.zeros(cells.prod())
    total = np.zeros((3, cells.prod()))
    quads = []
    for axis in range(3):
        points, around, outwards = _crossings(padded, level, axis, cells)
        for cell in around.T:
            count += np.bincount(cell, minlength=len(count))
            for coordinate in range(3):
                total[coordinate] += np.bincount(cell, points[:, coordinate], len(count))
        quads.append(np.where(outwards[:, None], around, around[:, ::-1]))
    used = np.flatnonzero(count)
    number = np.zeros(len(count), np.int64)
    number[used] = np.arange(len(used))
    vertices = (total[:, used] / count[used]).T - 1
    return Surface(vertices=vertices, quads=number[np.concatenate(quads)])


def _crossings(
    padded: np.ndarray, level: float, axis: int, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the E edges along ``axis`` that the surface crosses.

    Their crossing points [E, 3], the numbers of the four cells around them [E, 4], and whether the
    values fall along the edge [E].
    """
    first = np.delete(np.arange(padded.shape[axis]), -1)
    low, high = padded.take(first, axis), padded.take(first + 1, axis)
    index = np.argwhere((low > level) != (high > level))
    a, b = low[tuple(index.T)], high[tuple(index.T)]
    points = index.astype(np.float64)
    points[:, axis] += (level - a) / (b - a)
    others = ((axis + 1) % 3, (axis + 2) % 3)
    around = []
    for steps in _AROUND:
        cell = index.copy()
        cell[:, others] -= steps
        around.append(np.ravel_multi_index(tuple(cell.T), tuple(cells)))
    return points, np.stack(around, axis=1), a > b
