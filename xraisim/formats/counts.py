"""Counts, and what is not a count: dense frames to sparse photons and back.

Every format's photons come through :func:`sparse` or :func:`joined`, which alone say what a count
is, and no number is cast before it was looked at.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64, Shaped

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons

LARGEST = 2**31 - 1


def sparse(
    frames: Shaped[np.ndarray, "n *frame"],
    first: int,
    where: str,
    mask: Bool[np.ndarray, "P"] | None = None,
) -> Photons:
    """Return dense frames of photon counts as sparse patterns.

    On pixels of ``mask`` what is no count is left out. Floating-point values are taken
    if every one is a whole number. Raises :class:`FormatError` that names the first frame
    (``first`` is the number of ``frames[0]``), pixel and value which is negative, not whole, not
    finite or beyond int32.
    """
    pixels = int(np.prod(frames.shape[1:]))
    if frames.dtype.kind not in "biuf":
        raise FormatError(f"{where}: values of type {frames.dtype} are not photon counts")
    flat = np.flatnonzero(frames)
    row, pixel = np.divmod(flat, pixels)
    values = frames.reshape(-1)[flat]
    if values.dtype == np.float16:
        values = values.astype(np.float32)  # the former ends at 65,504, below what is compared with
    wrong = _no_counts(values)
    if mask is not None and wrong.any():
        keep = ~(wrong & mask[pixel])
        row, pixel, values, wrong = row[keep], pixel[keep], values[keep], wrong[keep]
    if wrong.any():
        at = int(np.argmax(wrong))
        _refuse(values[at], int(row[at]) + first, int(pixel[at]), where)
    offsets = np.searchsorted(row, np.arange(len(frames) + 1)).astype(np.int64)
    return Photons(offsets=offsets, pixel=pixel.astype(np.int32), count=values.astype(np.int32))


def _no_counts(values: Shaped[np.ndarray, "E"]) -> Bool[np.ndarray, "E"]:
    if values.dtype.kind == "b":
        return np.zeros(len(values), bool)
    if values.dtype.kind == "f":
        # so that NaN, for which every comparison is false, is no count either
        return ~((values >= 0) & (values <= LARGEST) & (values == np.rint(values)))
    return (values < 0) | (values > LARGEST)


def _refuse(value: Any, frame: int, pixel: int, where: str) -> None:
    reason = "not a whole number"
    if value < 0:
        reason = "negative"
    elif value > LARGEST:
        reason = "more than an int32 holds"
    raise FormatError(
        f"{where}: frame {frame}, pixel {pixel} is {value:.6g}, which is {reason}; photon counts "
        "are needed, for which the Poisson likelihood holds. Convert ADU to photons first "
        "(subtract the pedestal, divide by the gain, round); undo divisions by solid angle or "
        "polarisation, they belong in the model; draw photons from expected intensities"
    )


def dense(photons: Photons, pixels: int) -> Int32[np.ndarray, "n {pixels}"]:
    """Return the counts of every pixel; repeated entries are added."""
    photons = photons.summed()
    frames = np.zeros((len(photons), pixels), np.int32)
    frames[photons.rows(), photons.pixel] = photons.count
    return frames


def joined(
    rows: Int64[np.ndarray, "E"],
    pixel: Shaped[np.ndarray, "E"],
    count: Shaped[np.ndarray, "E"],
    patterns: int,
    pixels: int,
    where: str,
) -> Photons:
    """Return entries, each with the number of its pattern, sorted by pattern and pixel.

    Raises :class:`FormatError` for a pixel that is not one of ``pixels``, and for a count that is
    no whole number from 1 to what an int32 holds.
    """
    _require_whole("pixel numbers", pixel, 0, pixels - 1, where)
    _require_whole("counts", count, 1, LARGEST, where)
    pixel, count = pixel.astype(np.int32), count.astype(np.int32)
    key = rows.astype(np.int64) << 31 | pixel
    order = np.argsort(key, kind="stable")  # which is fast where the entries come as sorted runs
    offsets = np.searchsorted(rows[order], np.arange(patterns + 1)).astype(np.int64)
    return Photons(offsets=offsets, pixel=pixel[order], count=count[order])


def _require_whole(
    what: str, values: Shaped[np.ndarray, "E"], lowest: int, highest: int, where: str
) -> None:
    if values.dtype.kind not in "iu":
        raise FormatError(f"{where}: {what} of type {values.dtype}; expected integers")
    if len(values) and not (values.min() >= lowest and values.max() <= highest):
        raise FormatError(
            f"{where}: {what} run from {values.min()} to {values.max()}, expected {lowest} to "
            f"{highest}; the file is damaged, or is of another detector"
        )
