"""Simulate X-ray single particle imaging: structure → F(s) → instrument → photons → file."""

import importlib
import os
from importlib.metadata import PackageNotFoundError, version

_PUBLIC = {"stream": "xraisim.simulation.stream", "SimulationConfig": "xraisim.simulation.config"}

# torch's threads otherwise spin while they wait for one another, which on a shared machine takes
# the cores from whoever would finish the work (measured: four times the CPU time, three times the
# wall time). OpenMP reads this when torch is first imported, so all packages import this one first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("x-rai")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> object:
    """Load ``xraisim.stream`` and the configuration's class when they are asked for, not before."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'xraisim' has no attribute {name!r}")
