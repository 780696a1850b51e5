"""Compiled loops for the processor: all that happens between two transforms, in one pass."""
