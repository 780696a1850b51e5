"""Simulate X-ray single particle imaging: structure → F(s) → instrument → photons → file."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("x-rai")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
