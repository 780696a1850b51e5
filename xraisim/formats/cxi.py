"""CXI files (cxidb.org): SI units, a stack of images (as Condor writes) or one group per image.

Stack: ``/entry_1/data_1/data`` [N, *panels, rows, columns] and ``mask``. Per image:
``/entry_1/image_k/{data, mask, image_center}``, or an entry each, ``/entry_k/data_1/data``
[*panels, rows, columns]. Lab frame: z downstream, y up, as ours. Where the detector is says
:mod:`xraisim.formats.cxi_geometry`, what the masks mean :mod:`xraisim.formats.cxi_mask`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files.atomic import whole_file
from xraisim.formats import counts, hdf5
from xraisim.formats.base import ANYTHING, Append, Source, Target, Wanted
from xraisim.formats.cxi_geometry import one_value, read_energy, read_placement
from xraisim.formats.cxi_mask import HARMLESS, IN_SUPPORT, INVALID, read_masks
from xraisim.formats.experiment import Experiment, Known, pixel_pitch_mm
from xraisim.formats.frames import append_frames
from xraisim.instrument.ranges import JOULE_PER_EV

_STACK, _DETECTOR = "entry_1/data_1", "entry_1/instrument_1/detector_1"
_ENERGY = "entry_1/instrument_1/source_1/energy"
_TRUTH = ("particles", "source", "entry_1/sample_1")


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A stack of images, or one: its data set, and the groups that say what it is of."""

    data: h5py.Dataset
    stacked: bool
    mask: h5py.Dataset | None
    entry: h5py.Group
    detector: h5py.Group | None
    image: h5py.Group | None = None  # where it is a processed image

    @property
    def pattern(self) -> tuple[int, ...]:
        """Shape of an image."""
        return tuple(self.data.shape[1:] if self.stacked else self.data.shape)

    def __len__(self) -> int:
        return len(self.data) if self.stacked else 1

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return images, [n, *pattern]."""
        return np.asarray(self.data[start:stop] if self.stacked else self.data[()][None])


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
    parts = _parts(path, file, wanted.dataset, notices)
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


def _parts(path: Path, file: h5py.File, dataset: str | None, notices: list[str]) -> list[_Part]:
    """Return where the images are, entry by entry."""
    if dataset is not None:
        found = hdf5.member(file, dataset)
        if not isinstance(found, h5py.Dataset) or found.ndim < 2:
            raise FormatError(f"{path}: no images under {dataset}; expected a data set of them")
        return [_stack(file, dataset.strip("/"))]
    parts = []
    for entry in _numbered(file, "entry_"):
        if hdf5.member(entry, "data_1/data") is not None:
            parts.append(_stack(file, f"{entry.name.strip('/')}/data_1/data"))
        else:
            parts += _images(entry)
        others = [group.name for group in _numbered(entry, "data_")[1:] if "data" in group]
        if others:
            notices.append(
                f"left out: {', '.join(others)}, of other detectors (take one with --dataset)"
            )
    if not parts:
        raise FormatError(
            f"{path}: neither /{_STACK}/data nor /entry_1/image_1/data is there; if the images are "
            "elsewhere in the file, name them with --dataset"
        )
    return parts


def _numbered(group: h5py.Group, prefix: str) -> list[h5py.Group]:
    """Return the groups ``prefix`` + number, in the order of their numbers."""
    names = [n for n in group if n.startswith(prefix) and n.removeprefix(prefix).isdigit()]
    names.sort(key=lambda name: int(name.removeprefix(prefix)))
    found = [hdf5.member(group, name) for name in names]
    return [item for item in found if isinstance(item, h5py.Group)]


def _stack(file: h5py.File, name: str) -> _Part:
    """Return the part that a data set of a name is."""
    data, above = file[name], name.rpartition("/")[0]
    entry = file.get(name.split("/")[0]) if name.startswith("entry_") else file.get("entry_1")
    entry = entry if isinstance(entry, h5py.Group) else file
    detector = _detector(entry, data, above)
    mask = hdf5.member(file, f"{above}/mask")
    if mask is None and detector is not None:
        mask = hdf5.member(detector, "mask")
    return _Part(
        data=data, stacked=_is_stack(data, detector), mask=mask, entry=entry, detector=detector
    )


def _detector(entry: h5py.Group, data: h5py.Dataset, above: str) -> h5py.Group | None:
    """Return the detector that images are of: that which holds them, or has their number."""
    instrument = hdf5.member(entry, "instrument_1")
    if not isinstance(instrument, h5py.Group):
        return None
    detectors = _numbered(instrument, "detector_")
    for detector in detectors:
        if hdf5.member(detector, "data") == data:
            return detector
    number = above.rpartition("_")[2]
    same = [d for d in detectors if d.name.rpartition("_")[2] == number]
    return (same or detectors or [None])[0]


def _is_stack(data: h5py.Dataset, detector: h5py.Group | None) -> bool:
    """Return whether the first axis counts images, and not the panels of a single one."""
    axes = data.attrs.get("axes", "")
    axes = axes.decode(errors="replace") if isinstance(axes, bytes) else str(axes)
    corners = None if detector is None else hdf5.member(detector, "corner_position")
    modular = corners is not None and corners.ndim == 2 and corners.shape[0] > 1
    return data.ndim > 2 and not (
        data.ndim == 3 and (axes.startswith("module_identifier") or modular)
    )


def _images(entry: h5py.Group) -> list[_Part]:
    """Return the processed images of an entry."""
    groups = [g for g in _numbered(entry, "image_") if isinstance(g.get("data"), h5py.Dataset)]
    for group in groups:
        _require_intensity(group)
    return [
        _Part(
            data=group["data"],
            stacked=len(groups) == 1 and group["data"].ndim > 2,  # one "image" that is a stack
            mask=hdf5.member(group, "mask"),
            entry=entry,
            detector=_detector(entry, group["data"], "detector_1"),
            image=group,
        )
        for group in groups
    ]


def _require_intensity(group: h5py.Group) -> None:
    for name, fine in (
        ("data_space", ("diffraction",)),
        ("data_type", ("intensity", "intensities")),
        ("is_fft_shifted", ("0",)),
    ):
        found = hdf5.member(group, name)
        if found is None:
            continue
        value = np.asarray(found[()]).ravel()[:1].tolist()
        text = value[0].decode(errors="replace") if isinstance(value[0], bytes) else str(value[0])
        if text not in fine:
            raise FormatError(
                f"{hdf5.where(found)} is {text!r}; expected {fine[0]!r}: a pattern of intensities, "
                "its middle in the middle"
            )


def _known(parts: list[_Part], wanted: Wanted, notices: list[str]) -> tuple[list[_Part], Known]:
    """Return the parts that share the first one's geometry, and what the file knows of them."""
    first, shared = parts[0], [parts[0]]
    pattern = first.pattern
    if len(pattern) < 2:
        raise FormatError(f"{hdf5.where(first.data)}: images of shape {pattern}; expected 2 axes")
    placement, left = read_placement(first.detector, pattern, notices), []
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


def _identity(part: _Part) -> Any:
    return None if part.detector is None else part.detector.id


def _mask(
    parts: list[_Part], pattern: tuple[int, ...], wanted: Wanted, notices: list[str]
) -> np.ndarray | None:
    masks = list({part.mask.id: part.mask for part in parts if part.mask is not None}.values())
    images = any(part.image is not None for part in parts)
    harmless = HARMLESS | IN_SUPPORT if images else HARMLESS
    return read_masks(masks, pattern, set(map(len, parts)), wanted, notices, harmless)


def _energy(parts: list[_Part], notices: list[str]) -> tuple[float | None, str]:
    entries = {part.entry.name: part.entry for part in parts}
    read = [read_energy(entry, notices) for entry in entries.values()]
    values = np.concatenate([values for values, _ in read])
    return one_value("photon energy", values, "eV", notices), read[0][1]


def _centre(parts: list[_Part], notices: list[str]) -> tuple[float, float] | None:
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
        append = append_frames(path, file, f"{_STACK}/data", target, ())
        if target.experiment is not None:
            _write_instrument(file, target.experiment)
        yield append


def _write_instrument(file: h5py.File, experiment: Experiment) -> None:
    detector, size = experiment.detector, pixel_pitch_mm(experiment.detector) * 1e-3
    shape = detector.shape
    mask = np.where(detector.mask, INVALID, 0).astype(np.uint32).reshape(shape)
    file[f"{_STACK}/mask"] = mask
    group = file.create_group(_DETECTOR)
    group["mask"] = file[f"{_STACK}/mask"]
    group["data"] = file[f"{_STACK}/data"]
    group["distance"] = float(np.median(detector.position_mm[:, 2])) * 1e-3
    group["x_pixel_size"] = group["y_pixel_size"] = size
    group["xyz_map"] = detector.position_mm.astype(float).T.reshape(3, *shape) * 1e-3
    file[_ENERGY] = experiment.beam.photon_energy_ev * JOULE_PER_EV
