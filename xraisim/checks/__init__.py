"""Checks of a pattern file, by what they look at; importing this package registers them all."""

from xraisim.checks import detector, file, photons, statistics
from xraisim.checks.registry import CHECKS, Check, PatternFile

__all__ = ["CHECKS", "Check", "PatternFile", "detector", "file", "photons", "statistics"]
