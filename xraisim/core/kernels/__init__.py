"""numba loops for the CPU; functions of :mod:`xraisim.core` stand before them and document them."""
