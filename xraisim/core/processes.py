"""Several processes that work on shares of the patterns, as ``torchrun`` or ``srun`` start them.

Each adds up what it finds of its own share; sums over all of them are the same on every process,
so that all of them hold the same state. Messages go over gloo between CPUs and NCCL between GPUs.
"""

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numba
import torch
from torch import Tensor, nn

from xraisim.core.errors import DeviceError
from xraisim.core.slurm import as_torchrun


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among all: number ``rank`` of ``count``; without torchrun, one alone.

    Methods that exchange something have to be called by all of them, in the same order.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_leader(self) -> bool:
        """Whether this is the process that writes files and reports progress."""
        return self.rank == 0

    def sum(self, *tensors: Tensor) -> None:
        """Replace tensors (contiguous, on any device) by their sums over the processes.

        Records in which each process has filled in rows of its own, and left the others at zero,
        are thereby gathered.
        """
        if self.count > 1:
            from torch import distributed

            for tensor in tensors:
                distributed.all_reduce(tensor)

    def agree(self, *tensors: Tensor) -> None:
        """Replace tensors by those of the leader, where rounding might tell processes apart."""
        if self.count > 1:
            from torch import distributed

            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def share(self, count: int) -> slice:
        """Return this process's part of ``count`` rows; the parts differ by one row at most."""
        bounds = [count * rank // self.count for rank in (self.rank, self.rank + 1)]
        return slice(*bounds)

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return a model whose gradients are averaged over the processes by torch.

        It keeps the processes joined: let go of it before they part.
        """
        if self.count == 1:
            return model
        with warnings.catch_warnings():
            # torch 2.13 wants another name for the argument, which torch 2.11 does not know.
            warnings.simplefilter("ignore", FutureWarning)
            return nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)

    def agreed(self, value: float) -> float:
        """Return the leader's value, for decisions that all have to take alike."""
        number = torch.tensor(value, dtype=torch.float64)
        self.agree(number)
        return float(number)


ALONE = Processes()


@contextmanager
def processes_of(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun or srun started, each with a GPU of its own unless on CPUs.

    ``device``: name for :func:`xraisim.core.device.choose_device`, which then gives that GPU.
    Numba takes as many threads as torch, for which torchrun sets ``OMP_NUM_THREADS``. Raises
    :class:`DeviceError` if there are more processes than GPUs.
    """
    os.environ.update(as_torchrun(os.environ))
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    from torch import distributed

    with_gpus = device != "cpu" and torch.cuda.is_available()
    if with_gpus:
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    _import_before_joining()
    numba.set_num_threads(min(torch.get_num_threads(), numba.get_num_threads()))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if with_gpus else "gloo")
    yield Processes(rank=distributed.get_rank(), count=count)
    # Not after an error: the others may be waiting for this process, and torchrun ends them.
    distributed.destroy_process_group()


def _import_before_joining() -> None:
    """Import the part of torch whose functions keep, as a default, the group of their import.

    DistributedDataParallel imports it too. Were that only then, the group's threads would outlive
    :func:`torch.distributed.destroy_process_group`; one that then still lets go of a tensor while
    Python shuts down aborts the process.
    """
    importlib.import_module("torch.distributed.nn.functional")


def _take_gpu(number: int) -> None:
    there = torch.cuda.device_count()
    if number >= there:
        raise DeviceError(
            f"process {number + 1} of this machine finds {there} GPU(s); each needs its own: lower "
            "--nproc-per-node, or use --device cpu"
        )
    torch.cuda.set_device(number)
