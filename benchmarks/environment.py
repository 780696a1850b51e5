"""Where a run happened: versions, commit, hardware, peak memory."""

import os
import platform
import resource
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.record import Hardware

_PACKAGES = ("x-rai", "torch", "numpy", "numba", "scipy", "finufft", "gemmi", "h5py")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape the result."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def commit() -> str:
    """Return the git commit of the checkout that runs, "+" appended if changed; empty if none."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def hardware(device: str = "cpu") -> Hardware:
    """Return the processor, the cores this process may use, the memory and the GPU if used."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    on_gpu = device.startswith("cuda")
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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if platform.system() == "Darwin" else peak / 2**20
