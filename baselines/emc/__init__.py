"""Expand-maximize-compress (Loh & Elser 2009): orientations and intensity by tempered EM."""

from baselines.emc.config import EmcConfig, Level
from baselines.emc.run import reconstruct

__all__ = ["EmcConfig", "Level", "reconstruct"]
