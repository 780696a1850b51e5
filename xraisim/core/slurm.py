"""Processes started by SLURM's ``srun``: its variables as those that torchrun sets."""

import re
from collections.abc import Mapping, MutableMapping

from xraisim.core.errors import DeviceError

# Above the ports that services use and below those that systems hand out; one per step of a job.
_FIRST_PORT, _PORTS = 15_000, 15_000
_STEPS = 16  # of a job that get ports of their own
_PLACING = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_STEP_NUM_TASKS",
)  # fmt: skip


def as_torchrun(variables: Mapping[str, str]) -> dict[str, str]:
    """Return RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT of a step of ``srun``.

    Empty outside a step, in one of a single task, and where ``WORLD_SIZE`` is set already. The
    first task of a step runs on the first node of its list, and every task reckons the same port
    from the job and the step. What is set already (``MASTER_ADDR``) stays.
    """
    tasks = int(variables.get("SLURM_STEP_NUM_TASKS", "1"))
    if "WORLD_SIZE" in variables or tasks < 2:
        return {}
    number = int(variables["SLURM_JOB_ID"]) * _STEPS + int(variables.get("SLURM_STEP_ID", "0"))
    found = {
        "RANK": variables["SLURM_PROCID"],
        "WORLD_SIZE": str(tasks),
        "LOCAL_RANK": variables["SLURM_LOCALID"],
        "MASTER_ADDR": first_node(variables["SLURM_STEP_NODELIST"]),
        "MASTER_PORT": str(_FIRST_PORT + number % _PORTS),
    }
    return {name: value for name, value in found.items() if name not in variables}


def place(variables: Mapping[str, str]) -> tuple[int, int]:
    """Return the number of this process, from 0, and how many torchrun or srun started."""
    found = {**as_torchrun(variables), **variables}
    return int(found.get("RANK", "0")), int(found.get("WORLD_SIZE", "1"))


def leave(variables: MutableMapping[str, str]) -> None:
    """Remove what makes a process one of several: it, and those that it starts, are then alone."""
    for name in _PLACING:
        variables.pop(name, None)


def first_node(nodes: str) -> str:
    """Return the first name of a list such as ``gpu[03-05,9],login1``."""
    match = re.match(r"([^\[,]*)(?:\[([^\],-]+)[^\]]*\]([^\[,]*))?", nodes)
    if match is None or not match[0]:
        raise DeviceError(f"SLURM_STEP_NODELIST is {nodes!r}, which names no node")
    return match[1] + (match[2] or "") + (match[3] or "")
