"""CXI files (cxidb.org): SI units, a stack of images (as Condor writes) or one group per image.

Stack: ``/entry_1/data_1/data`` [N, rows, columns] and ``mask``. Per image:
``/entry_1/image_k/{data, mask, image_center}``. ``/entry_1/instrument_1`` may hold the photon
energy (J), the distance and pixel size (m) and, by custom, ``xyz_map`` [3, rows, columns] (m). Lab
frame: z downstream, y up, as ours. A pixel is unused if a bit of ``UNUSED`` is set in any image.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files.atomic import whole_file
from xraisim.formats import counts
from xraisim.formats.base import Append, Source, Target
from xraisim.formats.experiment import Experiment, Known, pixel_pitch_mm
from xraisim.formats.frames import append_frames

JOULE_PER_EV = 1.602176634e-19
INVALID, SATURATED, HOT, DEAD, SHADOWED, IGNORE = 0x1, 0x2, 0x4, 0x8, 0x10, 0x40
BAD, MISSING, NOISY = 0x80, 0x200, 0x400
UNUSED = INVALID | SATURATED | HOT | DEAD | SHADOWED | IGNORE | BAD | MISSING | NOISY

_STACK, _DETECTOR = "entry_1/data_1", "entry_1/instrument_1/detector_1"
_ENERGY = "entry_1/instrument_1/source_1/energy"
_TRUTH = ("particles", "source", "entry_1/sample_1")
_BLOCK = 256


def open_cxi(path: Path, dataset: str | None = None) -> Source:
    """Open a CXI file of either layout; ``dataset`` names the stack if it lies elsewhere."""
    file = h5py.File(path, "r")
    try:
        return _open(path, file, dataset)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: h5py.File, dataset: str | None) -> Source:
    images, masks, centre, notices = _images(path, file, dataset)
    shape = images[0].shape if isinstance(images, list) else images.shape[1:]
    pixels, rows = int(np.prod(shape)), int(np.prod(shape[:-1]))
    mask = _mask(masks, pixels, path, notices)

    def read(start: int, stop: int) -> Photons:
        block = images[start:stop]
        frames = np.stack([d[()] for d in block]) if isinstance(images, list) else block
        return counts.sparse(np.asarray(frames), start, str(path), mask)

    held = [name for name in _TRUTH if name in file]
    if held:
        notices.append(f"left out of the pattern file, as truth: {', '.join(held)}")
    known = Known(
        pixels=pixels,
        shape=(rows, shape[-1]),
        photon_energy_ev=_scalar(file, _ENERGY, 1 / JOULE_PER_EV),
        distance_mm=_scalar(file, f"{_DETECTOR}/distance", 1e3),
        pixel_size_mm=_scalar(file, f"{_DETECTOR}/x_pixel_size", 1e3),
        centre=centre,
        position_mm=_positions(file, pixels, path),
        mask=mask,
    )
    return Source(
        path=path,
        patterns=len(images),
        known=known,
        read=read,
        close=file.close,
        notices=notices,
    )


def _images(path: Path, file: h5py.File, dataset: str | None) -> tuple[Any, list, Any, list[str]]:
    """Return the stack or the list of images, the masks, the beam's centre, and notices."""
    name = dataset or f"{_STACK}/data"
    if name in file:
        stack = file[name]
        if stack.ndim < 3:
            raise FormatError(f"{path}: {name} has shape {stack.shape}; expected images stacked")
        beside = f"{name.rpartition('/')[0]}/mask"
        places = [place for place in (beside, f"{_DETECTOR}/mask") if place in file]
        return stack, [file[place] for place in places[:1]], None, []
    entry = file.get("entry_1", {})
    numbered = [n for n in entry if n.startswith("image_") and n[6:].isdigit()]
    groups = [entry[n] for n in sorted(numbered, key=lambda n: int(n[6:])) if "data" in entry[n]]
    if not groups:
        raise FormatError(
            f"{path}: neither /{_STACK}/data nor /entry_1/image_1/data is there; if the images are "
            "elsewhere in the file, name them with --dataset"
        )
    images = [group["data"] for group in groups]
    if len(groups) == 1 and images[0].ndim > 2:  # one "image" that is a stack
        images = images[0]
    elif len({image.shape for image in images}) > 1:
        raise FormatError(f"{path}: the images differ in shape; convert them apart")
    masks = [group["mask"] for group in groups if "mask" in group]
    return images, masks, *_centre(groups)


def _centre(groups: list[h5py.Group]) -> tuple[tuple[float, float] | None, list[str]]:
    """Return row and column of the beam, from image_center (x, y, …), if the images agree."""
    found = [np.asarray(g["image_center"][()]).ravel() for g in groups if "image_center" in g]
    if not found:
        return None, []
    x, y = np.stack(found)[:, :2].T
    if np.ptp(x) > 0.5 or np.ptp(y) > 0.5:
        return None, ["image centres move by more than half a pixel; the array's middle is taken"]
    return (float(y.mean()), float(x.mean())), []


def _mask(masks: list, pixels: int, path: Path, notices: list[str]) -> np.ndarray | None:
    """Return where a bit of UNUSED is set in any image; block by block."""
    if not masks:
        return None
    union, everywhere = np.zeros(pixels, bool), np.ones(pixels, bool)
    for dataset in masks:
        if dataset.size % pixels:
            raise FormatError(f"{path}: {dataset.name} has shape {dataset.shape}, not the images'")
        step = _BLOCK if dataset.size > pixels else 1
        for start in range(0, max(dataset.size // pixels, 1), step):
            values = dataset[start : start + step] if dataset.size > pixels else dataset[()]
            unused = (np.asarray(values).reshape(-1, pixels).astype(np.uint32) & UNUSED) != 0
            union |= unused.any(0)
            everywhere &= unused.all(0)
    moving = int((union & ~everywhere).sum())
    if moving:
        notices.append(f"{moving} pixels are masked in some images only; they are masked in all")
    return union


def _scalar(file: h5py.File, name: str, factor: float) -> float | None:
    if name not in file:
        return None
    values = np.asarray(file[name][()], float).ravel()
    return float(values.mean()) * factor if len(values) and values.mean() > 0 else None


def _positions(file: h5py.File, pixels: int, path: Path) -> np.ndarray | None:
    name = f"{_DETECTOR}/xyz_map"
    if name not in file:
        return None
    places = np.asarray(file[name][()], float)
    if places.size != 3 * pixels or places.shape[0] != 3:
        raise FormatError(f"{path}: {name} has shape {places.shape}, expected 3 × the image")
    return places.reshape(3, pixels).T * 1e3


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
