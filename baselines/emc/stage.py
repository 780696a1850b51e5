"""A level of the march made concrete: its pixels, rotations, volume grid and patterns."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.emc.config import EmcConfig, Level
from baselines.emc.stream import CountBlocks
from xraisim.core import rotations, so3
from xraisim.core.errors import SamplingError
from xraisim.core.merge import intensity_grid
from xraisim.core.types import Pixels
from xraisim.files.patterns import PatternReader

_FEWEST_PIXELS = 32


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the iterations of one level share, on the device.

    ``diameter_angstrom``: the particle's; ``grid``: (voxels per edge, spacing in Å⁻¹); ``totals``:
    photons of each pattern within ``pixels``; ``mean_counts``: mean counts of each pixel.
    """

    level: Level
    number: int
    diameter_angstrom: float
    pixels: Pixels
    orientations: Float[Tensor, "R 4"]
    matrices: Float[Tensor, "R 3 3"]
    grid: tuple[int, float]
    blocks: CountBlocks
    totals: Float[Tensor, "N"]
    mean_counts: Float[Tensor, "P"]

    @property
    def d_min_angstrom(self) -> float:
        """Spacing that the outermost pixel reaches."""
        return 1 / float(self.pixels.radius[-1])

    @property
    def photons(self) -> float:
        """Mean photons per pattern within the stage's pixels."""
        return float(self.totals.double().mean())

    def fluence(self) -> Float[Tensor, "N"]:
        """Return a first estimate of the relative fluences: signal photons over their mean."""
        signal = self.totals - self.pixels.background.sum()
        signal = signal.clamp_min(0.05 * self.totals.mean())
        return signal / signal.mean()


def make_stage(
    reader: PatternReader, config: EmcConfig, number: int, device: torch.device
) -> Stage:
    """Prepare level ``number``; raises :class:`SamplingError` if it has hardly any pixels."""
    level, diameter = config.levels[number], reader.info["particle_diameter_angstrom"]
    s_max = level.speckles / diameter
    if config.d_min_angstrom is not None:
        s_max = min(s_max, 1 / config.d_min_angstrom)
    count = reader.pixels.count_below(s_max)
    if count < _FEWEST_PIXELS:
        raise SamplingError(
            f"level {number + 1} of EMC reaches |s| = {s_max:.4g} Å⁻¹ (d = {1 / s_max:.1f} Å) and "
            f"has {count} usable pixels, which begin at {float(reader.pixels.radius[0]):.4g} Å⁻¹; "
            f"at least {_FEWEST_PIXELS} are needed: raise its speckles, lower d_min_angstrom"
        )
    pixels = reader.pixels.first(count).to(device)
    blocks = CountBlocks(
        reader=reader,
        patterns=min(level.patterns or reader.n_patterns, reader.n_patterns),
        pixels=count,
        block=config.block_patterns,
        cache_gib=config.cache_gib,
        device=device,
    )
    totals, mean_counts = blocks.survey()
    if not bool((totals > 0).any()):
        raise SamplingError(f"no photons at all within |s| < {s_max:.4g} Å⁻¹; check the mask")
    orientations = so3.super_fibonacci(level.rotations).to(device)
    return Stage(
        level=level,
        number=number,
        diameter_angstrom=diameter,
        pixels=pixels,
        orientations=orientations,
        matrices=rotations.to_matrix(orientations),
        grid=intensity_grid(float(pixels.radius[-1]), diameter, config.oversampling),
        blocks=blocks,
        totals=totals,
        mean_counts=mean_counts,
    )
