"""What a reconstruction is made from, and where."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from baselines.emc.config import EmcConfig
from xraisim.core.processes import ALONE, Processes
from xraisim.core.types import PatternSource


@dataclass(frozen=True)
class Inputs:
    """Patterns and settings; the ``processes`` share the patterns, each on its ``device``.

    ``chosen`` [N]: which patterns take part.
    """

    source: PatternSource
    config: EmcConfig
    chosen: Bool[Tensor, "N"]
    device: torch.device
    processes: Processes = ALONE

    @property
    def diameter_angstrom(self) -> float:
        """The particle's diameter D."""
        return float(self.source.info["particle_diameter_angstrom"])
