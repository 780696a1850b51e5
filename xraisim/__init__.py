"""Simulate X-ray single particle imaging: structure → F(s) → instrument → photons → file."""

import os
from importlib.metadata import PackageNotFoundError, version

# torch's threads otherwise spin while they wait for one another, which on a shared machine takes
# the cores from whoever would finish the work (measured: four times the CPU time, three times the
# wall time). OpenMP reads this when torch is first imported, so all packages import this one first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("x-rai")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
