"""CXI's masks: 32 bits per pixel, and which of them take a pixel away.

Bits that the format leaves open are in use at facilities with meanings of their own, and then often
so are the lower ones (at the European XFEL 0x20 is a gain that is not linear, 0x800 a value that is
not a number). So once such a bit is set anywhere, every bit takes its pixel away.
"""

import math
from collections.abc import Iterator

import h5py
import numpy as np
from jaxtyping import Bool, Shaped, UInt32

from xraisim.core.errors import FormatError
from xraisim.formats import hdf5
from xraisim.formats.base import Wanted

INVALID, SATURATED, HOT, DEAD, SHADOWED, IGNORE = 0x1, 0x2, 0x4, 0x8, 0x10, 0x40
BAD, MISSING, NOISY = 0x80, 0x200, 0x400
UNUSED = INVALID | SATURATED | HOT | DEAD | SHADOWED | IGNORE | BAD | MISSING | NOISY

# To be searched for peaks, out of a resolution, corrected, with signal, a peak, less background.
HARMLESS = 0x20 | 0x100 | 0x800 | 0x1000 | 0x2000 | 0x4000
IN_SUPPORT = 0x10000  # of processed images only

_BLOCK = 256


def read_masks(
    masks: list[h5py.Dataset],
    pattern: tuple[int, ...],
    patterns: set[int],
    wanted: Wanted,
    notices: list[str],
    harmless: int = HARMLESS,
) -> Bool[np.ndarray, "P"] | None:
    """Return where a pixel is not to be used, or None without a mask.

    ``masks`` are [*pattern], or [one of ``patterns``, *pattern]; what is flagged in some patterns
    only is left out of all.
    """
    if not masks:
        return None
    seen = _Bits(math.prod(pattern))
    mask: Bool[np.ndarray, "P"] | None = None
    for dataset in masks:
        stacked = dataset.shape[1:] == pattern and len(dataset) in patterns | {1}
        if not (stacked or dataset.shape == pattern):
            raise FormatError(
                f"{hdf5.where(dataset)} has shape {dataset.shape}; expected {pattern}, that of an "
                "image, or one for every image"
            )
        for block in _blocks(dataset, pattern):
            seen.add(_bits(block, dataset).reshape(-1, math.prod(pattern)))
        mask = hdf5.mask_gaps(dataset, pattern, mask, wanted, notices)
    unused = seen.unused(harmless, notices)
    return unused if mask is None else mask | unused


def _blocks(dataset: h5py.Dataset, pattern: tuple[int, ...]) -> Iterator[Shaped[np.ndarray, "..."]]:
    if dataset.ndim == len(pattern):
        yield dataset[()]
        return
    for start in range(0, len(dataset), _BLOCK):
        yield dataset[start : start + _BLOCK]


def _bits(
    values: Shaped[np.ndarray, "*images"], dataset: h5py.Dataset
) -> UInt32[np.ndarray, "*images"]:
    if values.dtype.kind not in "biu":
        raise FormatError(
            f"{hdf5.where(dataset)} is of type {values.dtype}; expected integers, whose bits say "
            "what is the matter with a pixel (0: nothing)"
        )
    return values.astype(np.uint32)


class _Bits:
    """The bits of every pixel that were set in some, and in all, images so far."""

    def __init__(self, pixels: int) -> None:
        self._some = np.zeros(pixels, np.uint32)
        self._all = np.full(pixels, 0xFFFFFFFF, np.uint32)

    def add(self, bits: UInt32[np.ndarray, "n P"]) -> None:
        """Take images."""
        self._some |= np.bitwise_or.reduce(bits, axis=0)
        self._all &= np.bitwise_and.reduce(bits, axis=0)

    def unused(self, harmless: int, notices: list[str]) -> Bool[np.ndarray, "P"]:
        """Return which pixels are not to be used."""
        foreign = int(np.bitwise_or.reduce(self._some)) & ~(UNUSED | harmless) & 0xFFFFFFFF
        if foreign:
            notices.append(
                f"the mask has bits that CXI does not define ({_names(foreign)}): a pixel with any "
                "bit set, of these or others, is masked"
            )
        spoils = np.uint32(0xFFFFFFFF if foreign else UNUSED)
        unused = (self._some & spoils) != 0
        spared = self._some[~unused]
        if spared.any():
            notices.append(
                f"mask bits {_names(int(np.bitwise_or.reduce(spared)))} are set on "
                f"{int((spared != 0).sum())} pixels; by CXI they are no reason not to use them"
            )
        moving = int((unused & ((self._all & spoils) == 0)).sum())
        if moving:
            notices.append(
                f"{moving} pixels are masked in some images only; they are masked in all"
            )
        return unused


def _names(bits: int) -> str:
    return ", ".join(f"{1 << n:#x}" for n in range(32) if bits >> n & 1)
