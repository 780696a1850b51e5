"""Loops of :mod:`xraisim.scattering.intensity`."""

from numba import prange

from xraisim.core.kernels.compiled import compiled


# A slab is one thread's, without the interpreter's lock: slabs are shared out among threads.
@compiled(nogil=True)
def friedel_intensities(A, B, plus, minus, first, radius):
    """Write |A + iB|² to ``plus`` and |A − iB|², which belongs to −s, to ``minus``; float32.

    Points farther than ``radius`` voxels from s = 0 are left alone.
    """
    centre = A.shape[1] // 2
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            for k in range(A.shape[2]):
                squared = (i + first) ** 2 + (j - centre) ** 2 + (k - centre) ** 2
                if squared > radius * radius:
                    continue
                a, b = A[i, j, k], B[i, j, k]
                plus[i, j, k] = (a.real - b.imag) ** 2 + (a.imag + b.real) ** 2
                minus[i, j, k] = (a.real + b.imag) ** 2 + (a.imag - b.real) ** 2


@compiled(parallel=True)
def filter_rows(volume, taps):
    """Filter [n, G, m] in place along G by the symmetric taps a₀, a₁, … (centre first).

    The outermost layers, where the filter would leave the volume, stay as they are.
    """
    grid, reach = volume.shape[1], len(taps) - 1
    for i in prange(volume.shape[0]):
        plane = volume[i].copy()
        for j in range(reach, grid - reach):
            for k in range(plane.shape[1]):
                total = taps[0] * plane[j, k]
                for m in range(1, reach + 1):
                    total += taps[m] * (plane[j - m, k] + plane[j + m, k])
                volume[i, j, k] = total
