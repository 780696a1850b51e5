"""Pixels that saturate, taken out of use in a pattern file."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float64, Int64

from xraisim.console import Advance
from xraisim.core.errors import ConfigError, UserError
from xraisim.files.atomic import disk_errors
from xraisim.files.patterns import PatternReader
from xraisim.instrument.detector import MaskReason

_BLOCK = 2048


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """``pixels``: how many were in use and are no longer; ``usable``: how many are left.

    ``photons``: the share of the counted photons that goes with them; ``patterns``: the share of
    the patterns in which any of them saturated.
    """

    pixels: int
    usable: int
    photons: float
    patterns: float


def mask_saturated(
    path: Path, level: int, share: float = 0.001, advance: Advance | None = None
) -> Saturation:
    """Mask the pixels that reach ``level`` photons in ``share`` of the patterns, in all files.

    A count at the level means "as many or more", which no reconstruction here models, and leaving
    such counts out where they occur would bias a pixel low; so the pixel goes as a whole. Photons
    stay in the file: clearing the mask's bit 32 brings them back. Shards get one mask.

    Raises :class:`ConfigError` for a level below 1 or a share outside (0, 1], :class:`UserError`
    if no pixel would be left, and then changes nothing.
    """
    if level < 1 or not 0 < share <= 1:
        raise ConfigError(
            f"level {level}, share {share:g}; expected photons from 1 and a share above 0, up to 1"
        )
    with PatternReader(path) as reader:
        files, index = reader.files, reader.pixels.index.numpy()
        times, counted, hit = _counted(reader, level, advance)
        patterns = reader.n_patterns
    bad = (times > 0) & (times >= share * patterns)
    if bad.all():
        raise UserError(
            f"every usable pixel of {path} reaches {level} photons in {share:.2%} of the patterns; "
            "nothing was masked: check the level"
        )
    for file in files if bad.any() else []:
        _mask(file, index[bad])
    return Saturation(
        pixels=int(bad.sum()),
        usable=int((~bad).sum()),
        photons=float(counted[bad].sum() / max(counted.sum(), 1)),
        patterns=hit / max(patterns, 1),
    )


def _counted(
    reader: PatternReader, level: int, advance: Advance | None
) -> tuple[Int64[np.ndarray, "P"], Float64[np.ndarray, "P"], int]:
    """Return how often each usable pixel reached the level, its photons, and patterns with any."""
    size = len(reader.pixels)
    times, counted, patterns = np.zeros(size, np.int64), np.zeros(size), 0
    for first in range(0, reader.n_patterns, _BLOCK):
        block = reader.read(first, min(first + _BLOCK, reader.n_patterns)).summed()
        full = block.count >= level
        times += np.bincount(block.pixel[full], minlength=size)
        counted += np.bincount(block.pixel, block.count, minlength=size)
        patterns += len(np.unique(block.rows()[full]))
        if advance is not None:
            advance(len(block))
    return times, counted, patterns


def _mask(path: Path, index: Int64[np.ndarray, "_"]) -> None:
    """Add the reason to the mask of one file."""
    with disk_errors(path), h5py.File(path, "r+") as file:
        mask = file["detector/mask"][()]
        mask[index] |= int(MaskReason.SATURATED)
        file["detector/mask"][...] = mask
