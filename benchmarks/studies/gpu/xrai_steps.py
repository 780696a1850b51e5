"""The steps that X-RAI spends its time in: their cost per pattern, and the share of the peak.

The cost is counted on the plain torch forms, which are what a GPU runs. The peaks are measured on
the device itself: a copy of a large tensor, and a product of two large matrices in float32.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.studies.gpu.traffic import Traffic
from xrai.poses.search import GridSearch
from xraisim.core import so3
from xraisim.core.dispatch import torch_forms
from xraisim.core.likelihood import (
    candidate_loglik,
    candidate_loglik_reference,
    pose_scores,
    pose_scores_reference,
)
from xraisim.core.merge import Accumulator
from xraisim.core.misfit import goodness, goodness_reference
from xraisim.core.types import Photons, Pixels, Volume

_REPEATS = 5
_COPIED = {"cuda": 2**28, "cpu": 2**24}  # float32 numbers
_MATRIX = {"cuda": 8192, "cpu": 1024}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of patterns, and a volume to compare them with; all but photons on one device."""

    volume: Volume
    pixels: Pixels
    photons: Photons
    poses: Tensor

    def within(self, s_max: float) -> "Block":
        """Return the same patterns to a resolution limit (Å⁻¹)."""
        pixels = self.pixels.first(self.pixels.count_below(s_max))
        return Block(volume=self.volume, pixels=pixels, photons=self.photons, poses=self.poses)

    @property
    def device(self) -> torch.device:
        """Where the volume is."""
        return self.volume.values.device


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """What the device reaches: bytes read and written per second, and float32 operations."""

    bytes_per_s: float
    flops_per_s: float


def steps(block: Block, rotations: int) -> dict[str, Callable[[], Any]]:
    """Return the steps as functions without arguments: ``rotations`` in the grid of the search."""
    volume, pixels, photons, poses = block.volume, block.pixels, block.photons, block.poses
    random = torch.Generator(block.device).manual_seed(0)
    search = GridSearch(volume, pixels, rotations, random)
    pairs = so3.perturb(poses, 2, 0.01, random)
    fluence = torch.ones(len(photons), device=block.device)
    sums = Accumulator.empty(volume.grid, volume.spacing, block.device)

    typical = torch.ones_like(pixels.gain)  # what a merge without background takes

    def merge() -> None:
        sums.add_reference(pixels, photons, poses, fluence, torch.ones_like(fluence), typical)

    return {
        "grid search": lambda: search.best(photons, 3),
        "two candidates": lambda: candidate_loglik_reference(volume, pixels, photons, pairs),
        "scores": lambda: pose_scores_reference(volume, pixels, photons, poses),
        "misfit": lambda: goodness_reference(volume, pixels, photons, poses),
        "merge": merge,
    }


def measure(block: Block, rotations: int, peaks: Peaks) -> list[dict[str, Any]]:
    """Return a line per step: bytes and operations per pattern, seconds, share of the peak.

    The share is the time that the step's bytes or operations, whichever takes longer, would take at
    the device's peak, over the time that it took.
    """
    lines, patterns = [], len(block.photons)
    for name, step in steps(block, rotations).items():
        with Traffic() as traffic:
            step()
        seconds = best_seconds(step, block.device)
        least = max(traffic.bytes / peaks.bytes_per_s, traffic.flops / peaks.flops_per_s)
        lines.append(
            {
                "step": name,
                "pixels": len(block.pixels),
                "bytes_per_pattern": traffic.bytes / patterns,
                "flops_per_pattern": traffic.flops / patterns,
                "patterns_per_s": patterns / seconds,
                "share_of_peak": least / seconds,
            }
        )
    return lines


def differences(block: Block) -> dict[str, float]:
    """Return by how much torch's forms on the device and a CPU's compiled loops differ.

    The largest difference over the largest value, of everything that is found of a pattern. The
    slopes of an interpolated volume jump where a pixel lies between two voxels' cells, so that
    rounding shows in ``gradient`` and ``fisher``: there up to 1 % is rounding.
    """
    here = Block(
        volume=block.volume.to("cpu"),
        pixels=block.pixels.to("cpu"),
        photons=block.photons,
        poses=block.poses.cpu(),
    )
    with torch_forms():
        there = _found(block)
    return {
        name: float((there[name].cpu().double() - one.double()).abs().max() / one.abs().max())
        for name, one in _found(here).items()
    }


def _found(block: Block) -> dict[str, Tensor]:
    where = block.volume, block.pixels, block.photons
    loglik, fluence = candidate_loglik(*where, block.poses[:, None])
    scores, fit = pose_scores(*where, block.poses), goodness(*where, block.poses)
    sums = Accumulator.empty(block.volume.grid, block.volume.spacing, block.device)
    sums.add(block.pixels, block.photons, block.poses, torch.ones_like(fluence[:, 0]).float())
    return {
        "loglik": loglik,
        "fluence": fluence,
        "gradient": scores.gradient,
        "fisher": scores.fisher,
        "misfit": fit.misfit,
        "merged photons": sums.photons,
        "merged exposure": sums.exposure,
    }


def measure_peaks(device: torch.device) -> Peaks:
    """Measure the peaks of a device: float32, without tensor cores' shorter formats."""
    source = torch.zeros(_COPIED[device.type], device=device)
    target = torch.empty_like(source)
    n = _MATRIX[device.type]
    matrix = torch.ones(n, n, device=device)
    product = torch.empty_like(matrix)
    copy_s = best_seconds(lambda: target.copy_(source), device)
    product_s = best_seconds(lambda: torch.mm(matrix, matrix, out=product), device)
    moved = 2 * source.numel() * source.element_size()
    return Peaks(bytes_per_s=moved / copy_s, flops_per_s=2 * n**3 / product_s)


def best_seconds(step: Callable[[], Any], device: torch.device) -> float:
    """Return the shortest of some repetitions, after a first one."""
    step()
    found = []
    for _ in range(_REPEATS):
        wait(device)
        began = time.perf_counter()
        step()
        wait(device)
        found.append(time.perf_counter() - began)
    return min(found)


def wait(device: torch.device) -> None:
    """Wait until the device has done what was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
