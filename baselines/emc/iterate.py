"""One iteration of EMC: expand, maximize and compress, streaming over blocks of patterns."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.emc.compress import compress
from baselines.emc.config import EmcConfig
from baselines.emc.expand import Posterior, Templates, expand, log_likelihood, posterior
from baselines.emc.maximize import Tomograms, update_fluence
from baselines.emc.stream import CountBlocks
from xraisim.core.types import Pixels, Volume


@dataclass(frozen=True, kw_only=True)
class Poses:
    """What an iteration found of each pattern, on the CPU: see :class:`Posterior`."""

    best: Int[Tensor, "N"]
    occupancy: Float[Tensor, "N"]
    likelihood: Float[Tensor, "N"]
    evidence: Float[Tensor, "N"]
    information: Float[Tensor, "N"]

    @classmethod
    def empty(cls, patterns: int) -> "Poses":
        """Return records to be filled in block by block."""
        return cls(
            best=torch.zeros(patterns, dtype=torch.long),
            occupancy=torch.zeros(patterns, dtype=torch.float64),
            likelihood=torch.zeros(patterns, dtype=torch.float64),
            evidence=torch.zeros(patterns, dtype=torch.float64),
            information=torch.zeros(patterns, dtype=torch.float64),
        )

    def put(self, where: Tensor, found: Posterior) -> None:
        """Record the patterns ``where``."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[where] = getattr(found, name).cpu()


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The current volume and each pattern's relative fluence (mean 1).

    ``covered``: how many pixels, counted from the centre, the volume is known for.
    """

    volume: Volume
    fluence: Float[Tensor, "N"]
    covered: int


def iterate(
    now: Estimate,
    blocks: CountBlocks,
    pixels: Pixels,
    rotation: Float[Tensor, "R 3 3"],
    grid: tuple[int, float],
    beta: float,
    config: EmcConfig,
) -> tuple[Estimate, Poses]:
    """Return the next estimate on ``grid`` for all of ``pixels``, and what was found of the poses.

    Orientations are judged by the pixels that the current volume covers, so a step outwards in
    resolution takes its outer shells from the orientations that the inner ones gave.
    """
    templates = expand(now.volume, pixels.first(now.covered), rotation)
    sums = Tomograms.empty(len(rotation), len(pixels), rotation.device)
    poses, fluence = Poses.empty(blocks.patterns), torch.empty_like(now.fluence)
    for chosen, counts in _classes(blocks, now.fluence, templates, config.fluence_classes):
        inner, given = counts[:, : now.covered], now.fluence[chosen]
        found = posterior(log_likelihood(templates, inner, given), beta, config.threshold)
        share = templates.signal_share(float(given.mean()))
        fluence[chosen] = update_fluence(templates, found, inner, share)
        sums.add(found.probability, counts, fluence[chosen], _outwards(share, len(pixels)))
        poses.put(chosen.cpu(), found)
    volume = compress(sums, pixels, rotation, grid, config.prior)
    mean = fluence.mean()
    # Scaling φ to mean 1 and V against it leaves every expected count as it was.
    volume = replace(volume, values=volume.values * mean)
    return Estimate(volume=volume, fluence=fluence / mean, covered=len(pixels)), poses


def _classes(
    blocks: CountBlocks, fluence: Tensor, templates: Templates, classes: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (pattern numbers, counts), of similar fluence where there is background."""
    for where, counts in blocks:
        numbers = torch.arange(where.start, where.stop, device=fluence.device)
        if templates.background is None:
            yield numbers, counts
            continue
        for part in fluence[where].argsort().tensor_split(min(classes, len(numbers))):
            yield numbers[part], counts[part]


def _outwards(share: Tensor | None, pixels: int) -> Tensor | None:
    """Extend the signal's share to pixels that the volume did not cover, by the outermost ones."""
    if share is None or share.shape[1] == pixels:
        return share
    rim = share[:, -max(1, share.shape[1] // 10) :].mean(1, keepdim=True)
    return torch.cat([share, rim.expand(-1, pixels - share.shape[1])], 1)
