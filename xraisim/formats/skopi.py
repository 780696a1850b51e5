"""HDF5 as skopi's scripts write it and spinifel reads it.

``photons`` (or ``intensities``) [N, panels, rows, columns]; ``pixel_position_reciprocal``
[panels, rows, columns, 3] in m⁻¹ without 2π, which is our s; ``pixel_index_map``; ``polarization``
and ``solid_angle`` [panels, rows, columns]. The wavelength follows from the Ewald sphere.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Float64

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.core.units import HC_EV_ANGSTROM
from xraisim.files.atomic import whole_file
from xraisim.formats import counts, hdf5
from xraisim.formats.base import ANYTHING, Append, Source, Target, Wanted
from xraisim.formats.frames import append_frames
from xraisim.formats.known import Experiment, Known

RECIPROCAL = "pixel_position_reciprocal"
_M_TO_ANGSTROM = 1e-10  # of reciprocal lengths
_CARRIED = {"photons", "intensities", RECIPROCAL, "pixel_index_map", "polarization", "solid_angle"}


def open_skopi(path: Path, wanted: Wanted = ANYTHING) -> Source:
    """Open a skopi or spinifel file; ``dataset`` names the patterns if they are elsewhere."""
    file = h5py.File(path, "r")
    try:
        return _open(path, file, wanted)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: h5py.File, wanted: Wanted) -> Source:
    name = wanted.dataset or ("photons" if "photons" in file else "intensities")
    data = hdf5.member(file, name)
    if not isinstance(data, h5py.Dataset) or data.ndim < 2 or RECIPROCAL not in file:
        raise FormatError(
            f"{path}: expected datasets photons or intensities, [patterns, panels, rows, columns], "
            f"and {RECIPROCAL}; found {', '.join(file)}; name the patterns with --dataset if they "
            "are elsewhere"
        )
    pattern = data.shape[1:]
    pixels = math.prod(pattern)
    notices: list[str] = []
    values = _per_pixel(path, file, "mask", pixels)
    mask = None if values is None else values != 0
    mask = hdf5.mask_gaps(data, pattern, mask, wanted, notices)

    def read(start: int, stop: int) -> Photons:
        return counts.sparse(data[start:stop], start, f"{path}, {name}", mask)

    left = sorted(set(file) - _CARRIED - {"mask", name})
    if left:
        notices.insert(0, f"left out of the pattern file, as truth: {', '.join(left)}")
    return Source(
        path=path,
        patterns=len(data),
        known=_known(path, file, pixels, (math.prod(pattern[:-1]), pattern[-1]), mask),
        read=read,
        close=file.close,
        notices=notices,
    )


def _known(
    path: Path,
    file: h5py.File,
    pixels: int,
    shape: tuple[int, int],
    mask: Bool[np.ndarray, "P"] | None,
) -> Known:
    s = _vectors(path, file, pixels)
    length = np.linalg.norm(s, axis=1)
    lit = length > 1e-9 * length.max(initial=0.0)  # all but the pixel on the beam
    # on the sphere |s + z/λ| = 1/λ, hence λ = −2 s_z/|s|²
    wavelength = -2 * s[lit, 2] / length[lit] ** 2
    middle = float(np.median(wavelength)) if lit.any() and np.isfinite(length).all() else 0.0
    if not (middle > 0 and np.abs(wavelength / middle - 1).max() < 0.01):
        raise FormatError(
            f"{path}: {RECIPROCAL} does not lie on one Ewald sphere around −z; expected s = "
            "(k_out − k_in) in m⁻¹ without 2π, the beam along +z"
        )
    direction = s * middle + np.array([0.0, 0.0, 1.0])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return Known(
        pixels=pixels,
        shape=shape,
        photon_energy_ev=HC_EV_ANGSTROM / middle,
        direction=direction,
        solid_angle_sr=_factor(path, file, "solid_angle", pixels),
        polarisation_factor=_factor(path, file, "polarization", pixels),
        mask=mask,
    )


def _vectors(path: Path, file: h5py.File, pixels: int) -> Float64[np.ndarray, "{pixels} 3"]:
    stored = hdf5.member(file, RECIPROCAL)
    if not isinstance(stored, h5py.Dataset):
        raise FormatError(f"{path}: {RECIPROCAL} is a group; expected an array")
    if stored.size != 3 * pixels or 3 not in (*stored.shape[:1], *stored.shape[-1:]):
        raise FormatError(
            f"{path}: {RECIPROCAL} has shape {stored.shape}, expected 3 components for each of the "
            f"{pixels} pixels of a pattern"
        )
    values = hdf5.whole(stored).astype(float)
    last = values if values.shape[-1] == 3 else np.moveaxis(values, 0, -1)
    return last.reshape(pixels, 3) * _M_TO_ANGSTROM


def _factor(
    path: Path, file: h5py.File, name: str, pixels: int
) -> Float64[np.ndarray, "{pixels}"] | None:
    values = _per_pixel(path, file, name, pixels)
    if values is not None and not (np.isfinite(values) & (values >= 0)).all():
        raise FormatError(
            f"{path}: {name} runs from {values.min():.4g} to {values.max():.4g}; expected finite "
            "values of zero or more"
        )
    return values


def _per_pixel(
    path: Path, file: h5py.File, name: str, pixels: int
) -> Float64[np.ndarray, "{pixels}"] | None:
    found = hdf5.member(file, name)
    if found is None:
        return None
    if not isinstance(found, h5py.Dataset) or found.size != pixels:
        raise FormatError(
            f"{path}: {name} has {getattr(found, 'size', 'no')} values for {pixels} pixels"
        )
    return hdf5.whole(found).astype(float).ravel()


@contextmanager
def create_skopi(path: Path, target: Target) -> Iterator[Append]:
    """Create a file that spinifel reads: one panel, counts, and the geometry if it is known."""
    with whole_file(path) as whole, h5py.File(whole, "w") as file:
        append = append_frames(path, file, "photons", target, (1,))
        file["intensities"] = file["photons"]  # the name that spinifel looks for; the same dataset
        if target.experiment is not None:
            _write_geometry(file, target.experiment)
        yield append


def _write_geometry(file: h5py.File, experiment: Experiment) -> None:
    detector = experiment.detector
    panel = (1, *detector.shape)
    file[RECIPROCAL] = detector.s.astype(float).reshape(*panel, 3) / _M_TO_ANGSTROM
    file["pixel_index_map"] = np.moveaxis(np.indices(detector.shape), 0, -1)[None].astype(np.int32)
    file["polarization"] = detector.polarisation.reshape(panel)
    file["solid_angle"] = detector.solid_angle_sr.reshape(panel)
    file["mask"] = detector.mask.reshape(panel).astype(np.uint8)
