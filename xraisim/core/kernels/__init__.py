"""numba loops for the CPU; each stands behind a function in :mod:`xraisim.core` that documents it."""
