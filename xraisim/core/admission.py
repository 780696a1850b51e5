"""What may come in: photons and detectors, checked once where they enter the program.

Loops behind the door take these numbers for places in memory, so nothing may pass that does not
lie within bounds.
"""

from collections.abc import Mapping

import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons, Pixels

LARGEST_COUNT = 2**24  # of a pixel: beyond, float32 leaves out whole numbers
MOST_PHOTONS = 2**31 - 1  # of a pattern; a pattern file holds 255 of a pixel in an entry
MOST_PIXELS = 2**31  # numbered by an int32
_HUGE = "mask broken pixels, convert ADU to photons, or lower the fluence"
_BEYOND = 1 + 1e-3  # of 2/λ, for wavelengths that were rounded


def admit_photons(
    offsets: np.ndarray, pixel: np.ndarray, count: np.ndarray, pixels: int, source: object
) -> Photons:
    """Return a block of patterns in the types that :class:`Photons` has.

    ``offsets`` [n + 1]: rows of the entries ``pixel`` (of ``pixels``) and ``count``, whole numbers
    of any type; entries that count 0 are dropped. ``source``: what an error names. Raises
    :class:`FormatError` for entries that cannot be right.
    """
    try:
        for name, values in (("offsets", offsets), ("pixels", pixel), ("counts", count)):
            _check_type(name, values)
        offsets = offsets.astype(np.int64, copy=False) - offsets[:1].astype(np.int64)
        _check_entries(offsets, pixel, count, pixels)
    except ValueError as error:
        raise FormatError(f"{source}: {error}; make the patterns again") from error
    if not count.all():  # entries of no photon: nothing that a likelihood could take a logarithm of
        kept = np.concatenate([[0], np.cumsum(count > 0)])
        offsets, pixel, count = kept[offsets], pixel[count > 0], count[count > 0]
    return Photons(
        offsets=offsets,
        pixel=np.ascontiguousarray(pixel, np.int32),
        count=np.ascontiguousarray(count, np.int32),
    )


def check_photons(photons: Photons, pixels: int, source: object = "photons") -> None:
    """Raise :class:`FormatError` for entries that cannot be right: see :func:`admit_photons`."""
    try:
        _check_entries(photons.offsets, photons.pixel, photons.count, pixels)
    except ValueError as error:
        raise FormatError(f"{source} hold impossible entries: {error}") from error


def check_rows(photons: Photons, patterns: int) -> None:
    """Raise :class:`FormatError` unless loops over ``patterns`` rows stay within the block.

    What remains to be looked at of photons that were admitted: they were cut and joined since.
    """
    try:
        _check_offsets(photons.offsets, photons.pixel, photons.count)
        _check_range("pixel", photons.pixel, MOST_PIXELS - 1)
    except ValueError as error:
        raise FormatError(f"photons hold impossible entries: {error}") from error
    if len(photons) != patterns:
        raise FormatError(f"{len(photons)} patterns and {patterns} orientations; expected as many")


def _check_type(name: str, values: np.ndarray) -> None:
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise ValueError(
            f"{name} of type {values.dtype} and shape {values.shape}; expected a row of whole "
            "numbers"
        )


def _check_entries(offsets: np.ndarray, pixel: np.ndarray, count: np.ndarray, pixels: int) -> None:
    _check_offsets(offsets, pixel, count)
    _check_range("pixel", pixel, pixels - 1)
    _check_range("count", count, np.iinfo(count.dtype).max)
    if count.max(initial=0) > LARGEST_COUNT:
        at = int(count.argmax())
        raise ValueError(
            f"count {count[at]} of pixel {pixel[at]}; expected 0 … {LARGEST_COUNT}: {_HUGE}"
        )
    if int(count.max(initial=0)) * int(np.diff(offsets).max(initial=0)) > MOST_PHOTONS:
        running = np.concatenate([[0], np.cumsum(count, dtype=np.int64)])
        most = int(np.diff(running[offsets]).max(initial=0))
        if most > MOST_PHOTONS:
            raise ValueError(f"{most} photons in a pattern; expected 0 … {MOST_PHOTONS}: {_HUGE}")


def _check_offsets(offsets: np.ndarray, pixel: np.ndarray, count: np.ndarray) -> None:
    if len(pixel) != len(count):
        raise ValueError(f"{len(pixel)} pixels and {len(count)} counts; expected as many")
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(pixel):
        raise ValueError(f"offsets that do not enclose all {len(pixel)} entries")
    if (offsets[1:] < offsets[:-1]).any():
        raise ValueError("offsets that step back")


def _check_range(name: str, values: np.ndarray, largest: int) -> None:
    """Raise unless whole numbers lie between 0 and ``largest``; what the type excludes is free."""
    known = np.iinfo(values.dtype)
    lowest = int(values.min(initial=0)) if known.min < 0 else 0
    highest = int(values.max(initial=0)) if known.max > largest else 0
    if lowest < 0 or highest > largest:
        found = lowest if lowest < 0 else highest
        raise ValueError(f"{name} {found}; expected 0 … {largest}")


def admit_detector(
    arrays: Mapping[str, np.ndarray],
    shape: tuple[int, int],
    source: object,
    wavelength_angstrom: float | None = None,
) -> dict[str, np.ndarray]:
    """Return ``s``, ``gain``, ``background`` (float32) and ``mask`` of a flattened detector.

    ``arrays`` hold them for ``shape`` (rows, columns): ``s`` [P, 3] in Å⁻¹, the others [P]. Pixels
    whose mask is not 0 may hold anything. With the wavelength, s is compared with 2/λ. Raises
    :class:`FormatError` for what no detector has.
    """
    try:
        _check_form(arrays, shape)
        with np.errstate(over="ignore", invalid="ignore"):  # of masked pixels
            found = {name: arrays[name].astype(np.float32) for name in ("s", "gain", "background")}
        found["mask"] = arrays["mask"]
        _check_values(found, wavelength_angstrom)
    except ValueError as error:
        raise FormatError(f"{source}: {error}; mend the detector, or mask its pixels") from error
    return found


def admit_pixels(pixels: Pixels, source: object) -> None:
    """Raise :class:`FormatError` for pixels that no detector has, wherever they come from."""
    arrays = {name: getattr(pixels, name).cpu().numpy() for name in ("s", "gain", "background")}
    arrays["mask"] = np.zeros(len(pixels), np.uint8)
    admit_detector(arrays, (1, len(pixels)), source)


def _check_form(arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> None:
    pixels = shape[0] * shape[1]
    if min(shape) < 1 or pixels > MOST_PIXELS:
        raise ValueError(f"a detector of {shape[0]} × {shape[1]} pixels")
    for name, kinds in (("s", "f"), ("gain", "f"), ("background", "f"), ("mask", "iub")):
        values, expected = arrays[name], (pixels, 3) if name == "s" else (pixels,)
        if values.shape != expected or values.dtype.kind not in kinds:
            raise ValueError(
                f"detector/{name} of shape {values.shape} and type {values.dtype}; expected "
                f"{expected} {'numbers' if kinds == 'f' else 'whole numbers'}"
            )


def _check_values(found: Mapping[str, np.ndarray], wavelength_angstrom: float | None) -> None:
    good = found["mask"] == 0
    if not good.any():
        raise ValueError("the mask leaves no usable pixel")
    for name, above, expected in (
        ("s", found["s"] > -np.inf, "finite numbers"),
        ("gain", found["gain"] > 0, "positive numbers"),
        ("background", found["background"] >= 0, "0 or more"),
    ):
        fine = (above & np.isfinite(found[name])).reshape(len(good), -1).all(1)
        if (wrong := np.flatnonzero(good & ~fine)).size:
            raise ValueError(
                f"detector/{name} is {found[name][wrong[0]]} in usable pixel {wrong[0]} "
                f"({len(wrong)} such); expected {expected}"
            )
    farthest = float(np.linalg.norm(found["s"][good].astype(np.float64), axis=1).max())
    if wavelength_angstrom is not None and farthest > _BEYOND * 2 / wavelength_angstrom:
        raise ValueError(
            f"detector/s reaches {farthest:.4g} Å⁻¹, beyond 2/λ = {2 / wavelength_angstrom:.4g} Å⁻¹"
        )
