"""Where the images of a CXI file are: a stack, an image for each entry, or one group per image."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from xraisim.core.errors import FormatError
from xraisim.files.texts import attribute, plain
from xraisim.formats import hdf5

STACK = "entry_1/data_1"


@dataclass(frozen=True, kw_only=True)
class Part:
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

    def read(self, start: int, stop: int) -> Shaped[np.ndarray, "n *pattern"]:
        """Return images."""
        return np.asarray(self.data[start:stop] if self.stacked else self.data[()][None])


def find_parts(path: Path, file: h5py.File, dataset: str | None, notices: list[str]) -> list[Part]:
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
            f"{path}: neither /{STACK}/data nor /entry_1/image_1/data is there; if the images are "
            "elsewhere in the file, name them with --dataset"
        )
    return parts


def _numbered(group: h5py.Group, prefix: str) -> list[h5py.Group]:
    """Return the groups ``prefix`` + number, in the order of their numbers."""
    names = [n for n in group if n.startswith(prefix) and n.removeprefix(prefix).isdigit()]
    names.sort(key=lambda name: int(name.removeprefix(prefix)))
    found = [hdf5.member(group, name) for name in names]
    return [item for item in found if isinstance(item, h5py.Group)]


def _stack(file: h5py.File, name: str) -> Part:
    """Return the part that a data set of a name is."""
    data, above = file[name], name.rpartition("/")[0]
    entry = file.get(name.split("/")[0]) if name.startswith("entry_") else file.get("entry_1")
    entry = entry if isinstance(entry, h5py.Group) else file
    detector = _detector(entry, data, above)
    mask = hdf5.member(file, f"{above}/mask")
    if mask is None and detector is not None:
        mask = hdf5.member(detector, "mask")
    return Part(
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
    axes = str(attribute(data, "axes", ""))
    corners = None if detector is None else hdf5.member(detector, "corner_position")
    modular = corners is not None and corners.ndim == 2 and corners.shape[0] > 1
    return data.ndim > 2 and not (
        data.ndim == 3 and (axes.startswith("module_identifier") or modular)
    )


def _images(entry: h5py.Group) -> list[Part]:
    """Return the processed images of an entry."""
    groups = [g for g in _numbered(entry, "image_") if isinstance(g.get("data"), h5py.Dataset)]
    for group in groups:
        _require_intensity(group)
    return [
        Part(
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
        text = str(plain(np.asarray(found[()]).ravel()[:1].tolist()[0]))
        if text not in fine:
            raise FormatError(
                f"{hdf5.where(found)} is {text!r}; expected {fine[0]!r}: a pattern of intensities, "
                "its middle in the middle"
            )
