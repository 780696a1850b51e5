"""Patterns merged at given orientations: what the oracle and the floor do.

Sums become a volume as in X-RAI, and the fluence is profiled out as the reconstructors do it, so
the difference between X-RAI and the oracle is the orientations alone.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xraisim import __version__
from xraisim.console import Advance, progress
from xraisim.core import machine
from xraisim.core.axes import group_in_frame
from xraisim.core.closed_form import ClosedFormConfig, volume_from_sums
from xraisim.core.likelihood import candidate_loglik
from xraisim.core.merge import Accumulator, intensity_grid
from xraisim.core.settings import Range, Settings
from xraisim.core.types import Photons, Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.poses import write_poses
from xraisim.files.result import INTENSITY, POSES, Result, write_result
from xraisim.files.volumes import write_volume

_BLOCK = 2048
_AXES_REACH = 5.0  # s·D to which symmetry axes are looked for


@dataclass(frozen=True, kw_only=True)
class MergeConfig(Settings, table="merge"):
    """``oversampling``: voxels per 1/D; ``volume``: how sums become a volume, as X-RAI does it.

    ``rounds``: merges, each with the fluences that the volume before it gives. ``symmetry``: point
    group of the particle; the oracle finds the axes in what it merged first.
    """

    oversampling: Annotated[float, Range(least=2, most=16)] = 3.2
    volume: ClosedFormConfig = field(default_factory=ClosedFormConfig)
    rounds: Annotated[int, Range(least=1, most=1000)] = 2
    symmetry: str = "C1"


def merge(
    patterns: Path,
    directory: Path,
    config: MergeConfig,
    poses: Float[Tensor, "N 4"],
    symmetry: str,
    method: str,
    seed: int | None = None,
) -> None:
    """Merge patterns at ``poses`` and leave a result in ``directory``, signed ``method``.

    A pattern without a pose (NaN) is left out. ``symmetry``: the particle's point group; its axes
    are found in what is merged first.
    """
    began = time.monotonic()
    with PatternReader(patterns) as reader:
        s_max = float(reader.pixels.radius[-1])
        diameter = reader.info["particle_diameter_angstrom"]
        current = _flat(reader, poses, *intensity_grid(s_max, diameter, config.oversampling))
        with progress("merged", config.rounds * int(_posed(poses).sum())) as advance:
            group = None
            for _ in range(config.rounds):
                current = _merge_once(reader, poses, current, config.volume, group, advance)
                if group is None and symmetry != "C1":
                    band = float(reader.pixels.radius[0]) + current.spacing, _AXES_REACH / diameter
                    group = group_in_frame(current, symmetry, band)
    write_volume(directory / INTENSITY, current)
    write_poses(directory / POSES, {"orientations": poses.numpy()}, str(patterns))
    seconds = time.monotonic() - began
    write_result(
        directory,
        Result(
            method=method,
            method_version=__version__,
            patterns=len(poses),
            seconds=seconds,
            patterns_per_s=len(poses) / seconds,
            d_min_angstrom=1 / s_max,
            seed=seed,
            peak_memory_gib=machine.peak_gib(),
            hardware=machine.hardware(),
        ),
    )


def _posed(poses: Float[Tensor, "N 4"]) -> Bool[Tensor, "N"]:
    return torch.isfinite(poses).all(1)


def _blocks(
    reader: PatternReader, poses: Float[Tensor, "N 4"]
) -> Iterator[tuple[Photons, Float[Tensor, "n 4"]]]:
    """Yield the patterns that have a pose, and the poses."""
    for start in range(0, reader.n_patterns, _BLOCK):
        stop = min(start + _BLOCK, reader.n_patterns)
        posed = _posed(poses[start:stop])
        if posed.any():
            photons = reader.read(start, stop).take(torch.nonzero(posed)[:, 0].numpy())
            yield photons, poses[start:stop][posed]


def _flat(reader: PatternReader, poses: Float[Tensor, "N 4"], grid: int, spacing: float) -> Volume:
    """Return the constant intensity with the photons of the mean pattern: fluences near 1."""
    total = sum(photons.totals().sum() for photons, _ in _blocks(reader, poses))
    pixels = reader.pixels
    signal = total / int(_posed(poses).sum()) - float(pixels.background.sum())
    level = max(signal, 0.0) / float(pixels.gain.sum())
    return Volume(values=torch.full((grid,) * 3, level), spacing=spacing, kind="intensity")


def _merge_once(
    reader: PatternReader,
    poses: Tensor,
    current: Volume,
    config: ClosedFormConfig,
    group: Tensor | None,
    advance: Advance,
) -> Volume:
    """Merge all patterns with the fluences, and the background shares, of the current volume."""
    sums = Accumulator.empty(current.grid, current.spacing)
    for photons, mine in _blocks(reader, poses):
        _, fluence = candidate_loglik(current, reader.pixels, photons, mine[:, None])
        sums.add(reader.pixels, photons, mine, fluence[:, 0].float(), current)
        advance(len(mine))
    diameter = float(reader.info["particle_diameter_angstrom"])
    return volume_from_sums(sums, diameter, config, group)
