"""Loops of :mod:`xraisim.sample.solvent`: balls on a grid, and the shrinking of their union."""

import math

from numba import prange

from xraisim.core.kernels.compiled import compiled


@compiled
def mark_balls(block, centres, radii):
    """Set the voxels of ``block``, bool [X, Y, Z], whose centres lie within a ball.

    ``centres`` [N, 3] and ``radii`` [N] in voxels; voxel (i, j, k) has its centre there.
    """
    X, Y, Z = block.shape
    for n in range(len(radii)):
        x, y, z, r = centres[n, 0], centres[n, 1], centres[n, 2], radii[n]
        for i in range(max(0, math.ceil(x - r)), min(X - 1, math.floor(x + r)) + 1):
            for j in range(max(0, math.ceil(y - r)), min(Y - 1, math.floor(y + r)) + 1):
                rest = r * r - (i - x) ** 2 - (j - y) ** 2
                if rest < 0:
                    continue
                half = math.sqrt(rest)
                for k in range(max(0, math.ceil(z - half)), min(Z - 1, math.floor(z + half)) + 1):
                    block[i, j, k] = True


@compiled(parallel=True)
def shrink(block, radius):
    """Return ``block`` without the voxels that lie within ``radius`` voxels of its outside.

    What lies beyond the array counts as inside.
    """
    X, Y, Z = block.shape
    reach = int(radius)
    out = block.copy()
    for i in prange(X):
        for j in range(Y):
            for k in range(Z):
                if block[i, j, k]:
                    out[i, j, k] = not _outside_near(block, i, j, k, reach, radius * radius)
    return out


@compiled
def _outside_near(block, i, j, k, reach, squared):
    """Return whether a voxel outside ``block`` is within the radius of voxel (i, j, k)."""
    X, Y, Z = block.shape
    for a in range(max(0, i - reach), min(X - 1, i + reach) + 1):
        for b in range(max(0, j - reach), min(Y - 1, j + reach) + 1):
            for c in range(max(0, k - reach), min(Z - 1, k + reach) + 1):
                if (a - i) ** 2 + (b - j) ** 2 + (c - k) ** 2 <= squared and not block[a, b, c]:
                    return True
    return False
