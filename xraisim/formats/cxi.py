"""CXI files (cxidb.org): SI units, a stack of images (as Condor writes) or one group per image.

Stack: ``/entry_1/data_1/data`` [N, *panels, rows, columns] and ``mask``. Per image:
``/entry_1/image_k/{data, mask, image_center}``, or an entry each, ``/entry_k/data_1/data``
[*panels, rows, columns]. Lab frame: z downstream, y up, as ours. Where the detector is says
:mod:`xraisim.formats.cxi_geometry`, what the masks mean :mod:`xraisim.formats.cxi_mask`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files.atomic import whole_file
from xraisim.formats import counts, hdf5
from xraisim.formats.base import ANYTHING, Append, Source, Target, Wanted
from xraisim.formats.cxi_geometry import one_value, read_energy, read_placement
from xraisim.formats.cxi_mask import HARMLESS, IN_SUPPORT, INVALID, read_masks
from xraisim.formats.cxi_parts import STACK, Part, find_parts
from xraisim.formats.frames import append_frames
from xraisim.formats.known import Experiment, Known, pixel_pitch_mm
from xraisim.instrument.ranges import JOULE_PER_EV

_DETECTOR = "entry_1/instrument_1/detector_1"
_ENERGY = "entry_1/instrument_1/source_1/energy"
_TRUTH = ("particles", "source", "entry_1/sample_1")


def open_cxi(path: Path, wanted: Wanted = ANYTHING) -> Source:
    """Open a CXI file of any layout; ``wanted.dataset`` names the images if they are elsewhere."""
    file = h5py.File(path, "r")
    try:
        return _open(path, file, wanted)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: h5py.File, wanted: Wanted) -> Source:
    notices: list[str] = []
    parts = find_parts(path, file, wanted.dataset, notices)
    parts, known = _known(parts, wanted, notices)
    ends = list(accumulate(map(len, parts)))
    held = [name for name in _TRUTH if name in file]
    if held:
        notices.append(f"left out of the pattern file, as truth: {', '.join(held)}")

    def read(start: int, stop: int) -> Photons:
        blocks = [
            part.read(max(start - end + len(part), 0), stop - end + len(part))
            for part, end in zip(parts, ends, strict=True)
            if start < end and stop > end - len(part)
        ]
        blocks = blocks or [np.zeros((0, *parts[0].pattern), np.int32)]
        frames = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return counts.sparse(frames, start, str(path), known.mask)

    return Source(
        path=path, patterns=ends[-1], known=known, read=read, close=file.close, notices=notices
    )


def _known(parts: list[Part], wanted: Wanted, notices: list[str]) -> tuple[list[Part], Known]:
    """Return the parts that share the first one's geometry, and what the file knows of them."""
    first, shared = parts[0], [parts[0]]
    pattern = first.pattern
    if len(pattern) < 2:
        raise FormatError(f"{hdf5.where(first.data)}: images of shape {pattern}; expected 2 axes")
    placement = read_placement(first.detector, pattern, notices)
    left: list[Part] = []
    seen = {_identity(first)}
    for part in parts[1:]:
        if part.pattern == pattern and _identity(part) not in seen:
            other = read_placement(part.detector, pattern, [])
            if other.agrees(placement):
                seen.add(_identity(part))
        (shared if part.pattern == pattern and _identity(part) in seen else left).append(part)
    if left:
        notices.append(
            f"left out: {sum(map(len, left))} images ({', '.join(p.data.name for p in left[:4])}"
            f"{', …' if len(left) > 4 else ''}) whose shape or geometry is not that of "
            f"{first.data.name}; convert them apart with --dataset"
        )
    pixels, mask, position = math.prod(pattern), None, placement.position
    for part in shared:
        mask = hdf5.mask_gaps(part.data, pattern, mask, wanted, notices)
    flagged = _mask(shared, pattern, wanted, notices)
    if flagged is not None:
        mask = flagged if mask is None else mask | flagged
    if position is not None and not np.isfinite(position).all():
        nowhere = ~np.isfinite(position).all(1)
        notices.append(f"{int(nowhere.sum())} pixels have no place in the file; they are masked")
        mask = nowhere if mask is None else mask | nowhere
        position = np.where(nowhere[:, None], np.nanmedian(position, axis=0), position)
    energy, unit = _energy(shared, notices)
    known = Known(
        pixels=pixels,
        shape=(math.prod(pattern[:-1]), pattern[-1]),
        panels=math.prod(pattern[:-2]),
        photon_energy_ev=energy,
        distance_mm=placement.distance,
        pixel_size_mm=placement.width,
        pixel_height_mm=placement.height,
        centre=_centre(shared, notices),
        position_mm=position,
        solid_angle_sr=placement.solid_angle,
        mask=mask,
        units=placement.units | {"photon_energy_ev": unit},
    )
    return shared, known


def _identity(part: Part) -> Any:
    return None if part.detector is None else part.detector.id


def _mask(
    parts: list[Part], pattern: tuple[int, ...], wanted: Wanted, notices: list[str]
) -> Bool[np.ndarray, "P"] | None:
    masks = list({part.mask.id: part.mask for part in parts if part.mask is not None}.values())
    images = any(part.image is not None for part in parts)
    harmless = HARMLESS | IN_SUPPORT if images else HARMLESS
    return read_masks(masks, pattern, set(map(len, parts)), wanted, notices, harmless)


def _energy(parts: list[Part], notices: list[str]) -> tuple[float | None, str]:
    entries = {part.entry.name: part.entry for part in parts}
    read = [read_energy(entry) for entry in entries.values()]
    values = np.concatenate([values for values, _ in read])
    return one_value("photon energy", values, "eV", notices), read[0][1]


def _centre(parts: list[Part], notices: list[str]) -> tuple[float, float] | None:
    """Return row and column of the beam, from image_center (x, y, …), if the images agree."""
    centres = [hdf5.member(p.image, "image_center") for p in parts if p.image is not None]
    found = [hdf5.whole(centre).astype(float).ravel() for centre in centres if centre is not None]
    found = [centre[:2] for centre in found if len(centre) >= 2 and np.isfinite(centre[:2]).all()]
    if not found:
        return None
    x, y = np.stack(found).T
    if np.ptp(x) > 0.5 or np.ptp(y) > 0.5:
        notices.append("image centres move by more than half a pixel; the array's middle is taken")
        return None
    return float(y.mean()), float(x.mean())


@contextmanager
def create_cxi(path: Path, target: Target) -> Iterator[Append]:
    """Create a CXI file with a stack of int32 images, one mask, and the geometry if known."""
    with whole_file(path) as whole, h5py.File(whole, "w") as file:
        file["cxi_version"] = 160
        append = append_frames(path, file, f"{STACK}/data", target, ())
        if target.experiment is not None:
            _write_instrument(file, target.experiment)
        yield append


def _write_instrument(file: h5py.File, experiment: Experiment) -> None:
    detector, size = experiment.detector, pixel_pitch_mm(experiment.detector) * 1e-3
    shape = detector.shape
    mask = np.where(detector.mask, INVALID, 0).astype(np.uint32).reshape(shape)
    file[f"{STACK}/mask"] = mask
    group = file.create_group(_DETECTOR)
    group["mask"] = file[f"{STACK}/mask"]
    group["data"] = file[f"{STACK}/data"]
    group["distance"] = float(np.median(detector.position_mm[:, 2])) * 1e-3
    group["x_pixel_size"] = group["y_pixel_size"] = size
    group["xyz_map"] = detector.position_mm.astype(float).T.reshape(3, *shape) * 1e-3
    file[_ENERGY] = experiment.beam.photon_energy_ev * JOULE_PER_EV
