"""Dragonfly (Ayyer et al. 2016, PyPI ``dragonfly-spi``): EMC by another program, where installed.

A pattern file becomes Dragonfly's photons, detector and configuration; its volume, orientations and
fluences come back in our units and conventions.
"""

from baselines.external.dragonfly.config import DragonflyConfig
from baselines.external.dragonfly.program import NotInstalledError, why_not_installed
from baselines.external.dragonfly.run import reconstruct

__all__ = ["DragonflyConfig", "NotInstalledError", "reconstruct", "why_not_installed"]
