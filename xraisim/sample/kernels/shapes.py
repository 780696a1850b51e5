"""Loops of :mod:`xraisim.sample.shapes`: the Fourier transform of a convex polyhedron.

Over a tetrahedron with corners v_k the integral of exp(i q·r) is 6V times the divided difference of
exp at i q·v₀ … i q·v₃ (Hermite & Genocchi). With the arguments sorted, the recursion divides by the
widest gap only; where even that is narrow a series in it takes over. So nothing special happens at
q = 0, or where q is normal to a face or an edge.
"""

import math

import numpy as np

from xraisim.core.kernels.compiled import compiled

_NARROW = 1.0  # gap in radians below which the series is used
_TERMS = 16


@compiled
def _pair(x, y, ex, ey):
    """Return the divided difference of exp(i·) / i at two points, exp(ix) and exp(iy) given."""
    if y - x >= _NARROW:
        return (ey - ex) / complex(0, y - x)
    half = (y - x) / 2
    ratio = 1.0 if half == 0 else math.sin(half) / half
    turn = (x + y) / 2
    return complex(math.cos(turn) * ratio, math.sin(turn) * ratio)


@compiled
def _series(points, n, work):
    """Return the divided difference at the first n points: e^{im} Σ i^k h_k(x − m) / (k + n − 1)!.

    m is their mean and h_k the complete homogeneous symmetric polynomial of degree k.
    """
    mean = 0.0
    for p in range(n):
        mean += points[p] / n
    work[0], work[1:] = 1.0, 0.0
    for p in range(n):
        for k in range(1, _TERMS):
            work[k] += (points[p] - mean) * work[k - 1]
    factor = complex(math.cos(mean), math.sin(mean)) / math.gamma(n)
    total = 0j
    for k in range(_TERMS):
        total += work[k] * factor
        factor *= complex(0, 1 / (k + n))
    return total


@compiled
def _tetrahedron(x, e, work):
    """Return the divided difference at four points, ascending; ``e`` holds exp(i x)."""
    if x[3] - x[0] < _NARROW:
        return _series(x, 4, work)
    ab, bc, cd = (
        _pair(x[0], x[1], e[0], e[1]),
        _pair(x[1], x[2], e[1], e[2]),
        _pair(x[2], x[3], e[2], e[3]),
    )
    low, high = x[2] - x[0], x[3] - x[1]
    abc = _series(x, 3, work) if low < _NARROW else (bc - ab) / complex(0, low)
    bcd = _series(x[1:], 3, work) if high < _NARROW else (cd - bc) / complex(0, high)
    return (bcd - abc) / complex(0, x[3] - x[0])


@compiled(nogil=True)
def polyhedron(sx, sy, sz, corners, faces, volumes, out):
    """Write Re ∫ exp(2πi s·r) d³r over the tetrahedra (0, face) to ``out``, float64.

    ``sx``, ``sy``, ``sz`` and ``out`` have one 3-D shape; ``corners`` [C, 3]; ``faces`` int [T, 3],
    triangles; ``volumes`` [T], of the tetrahedra.
    """
    turn, wave = np.empty(len(corners)), np.empty(len(corners), np.complex128)
    x, e, work = np.empty(4), np.empty(4, np.complex128), np.empty(_TERMS)
    for place in np.ndindex(out.shape):
        for c in range(len(corners)):
            phase = (
                sx[place] * corners[c, 0] + sy[place] * corners[c, 1] + sz[place] * corners[c, 2]
            )
            turn[c] = 2 * math.pi * phase
            wave[c] = complex(math.cos(turn[c]), math.sin(turn[c]))
        total = 0.0
        for t in range(len(faces)):
            x[0], e[0] = 0.0, 1.0
            for k in range(1, 4):  # insert the corners in ascending order
                corner = faces[t, k - 1]
                at = k
                while at > 0 and x[at - 1] > turn[corner]:
                    x[at], e[at] = x[at - 1], e[at - 1]
                    at -= 1
                x[at], e[at] = turn[corner], wave[corner]
            total += 6 * volumes[t] * _tetrahedron(x, e, work).real
        out[place] = total
