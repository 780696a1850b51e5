"""Where a run happens: versions, hardware, the most memory used."""

import os
import platform
import resource
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

_PACKAGES = ("x-rai", "torch", "numpy", "numba", "scipy", "finufft", "gemmi", "h5py")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The machine; ``gpu`` is empty where none was used."""

    cpu: str
    cores: int
    memory_gib: float
    gpu: str = ""

    def __str__(self) -> str:
        gpu = f", {self.gpu}" if self.gpu else ""
        return f"{self.cpu}, {self.cores} cores, {self.memory_gib:g} GiB{gpu}"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape the result."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def hardware(device: str | torch.device = "cpu") -> Hardware:
    """Return the processor, the cores this process may use, the memory and the GPU if used."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    on_gpu = torch.device(device).type == "cuda"
    return Hardware(
        cpu=_cpu_model(),
        cores=_cores(),
        memory_gib=round(pages * size / 2**30, 1),
        gpu=torch.cuda.get_device_name() if on_gpu else "",
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: what a container or taskset allows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_gib() -> float:
    """Return the largest resident memory of this process so far, GiB.

    Linux carries ``ru_maxrss`` over from the process that started this one; ``VmHWM`` belongs to
    this program alone.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**20
    except OSError:
        pass
    return _gib(resource.getrusage(resource.RUSAGE_SELF))


def peak_gib_of_children() -> float:
    """Return the largest resident memory of a program that this process started and saw end."""
    return _gib(resource.getrusage(resource.RUSAGE_CHILDREN))


def _gib(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / (2**30 if platform.system() == "Darwin" else 2**20)
