"""What the patterns must have before EMC begins: photons, and views enough to fill a volume."""

import math

import torch
from jaxtyping import Bool
from torch import Tensor

from baselines.emc.config import EmcConfig
from baselines.emc.stream import pixels_within, read, split
from xraisim.core.errors import SamplingError
from xraisim.core.processes import ALONE
from xraisim.core.types import PatternSource, Pixels


def require_patterns(source: PatternSource, config: EmcConfig, chosen: Bool[Tensor, "N"]) -> None:
    """Raise :class:`SamplingError` where too few of the ``chosen`` patterns have photons.

    A pattern passes 2πL speckles of the 4πL² at a reach of L speckles 1/D, which are equal in
    pairs by Friedel's law: fewer than L patterns leave most of a volume to be invented, and it
    then fits single patterns ever better until it diverges. A point group repeats every pattern.
    """
    s_max = float(_pixels(source, config).radius[-1])
    reach = s_max * source.info["particle_diameter_angstrom"]
    needed = math.ceil(reach * (1 + config.halves) / len(config.group))
    lit = int(first_with_photons(source, config, chosen, needed).sum())
    if not lit:
        raise SamplingError(
            f"none of {int(chosen.sum()):,} patterns has photons within |s| < {s_max:.4g} Å⁻¹; "
            "check the file and its mask"
        )
    if lit < needed:
        raise SamplingError(
            f"only {lit:,} of {int(chosen.sum()):,} patterns have photons within |s| < "
            f"{s_max:.4g} Å⁻¹, where {needed:,} or more are needed to look at every speckle once; "
            "add patterns, or stop at a coarser d_min_angstrom"
        )


def first_with_photons(
    source: PatternSource, config: EmcConfig, chosen: Bool[Tensor, "N"], most: int
) -> Bool[Tensor, "N"]:
    """Return the first ``most`` of the ``chosen`` patterns that have photons at any level."""
    used, found = len(_pixels(source, config)), torch.zeros_like(chosen)
    missing = most
    for numbers in split(chosen, config.block_patterns, ALONE):
        lit = torch.from_numpy(read(source, numbers).totals(used) > 0)
        found[numbers[lit][:missing]] = True
        missing = most - int(found.sum())
        if missing <= 0:
            break
    return found


def _pixels(source: PatternSource, config: EmcConfig) -> Pixels:
    return pixels_within(source, config.levels[-1].reach, config.d_min_angstrom)
