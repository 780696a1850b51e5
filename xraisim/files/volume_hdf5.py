"""Volumes in HDF5: dataset ``volume`` [x, y, z] float32 with its kind, spacing and their units.

HDF5's own checksums are on: for metadata (format version 1.10) and for each chunk.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from xraisim.core.errors import FormatError, reading
from xraisim.core.types import Volume
from xraisim.files.held import read_whole
from xraisim.files.volume_grid import UNITS, Raw, require_size

SIGNATURE = b"\x89HDF"
FORMAT = "x-rai volume 1"


def write(
    path: Path, volume: Volume, attributes: Mapping[str, Any], exposure: Tensor | None
) -> None:
    """Write a volume, what is to be known of it, and its exposure if there is one."""
    spacing_units, value_units = UNITS[volume.kind]
    with h5py.File(path, "w", libver="v110") as file:
        _describe(file, {"format": FORMAT})
        packed = {
            "compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True,
        }  # fmt: skip
        values = volume.values.detach().cpu().float().numpy()
        data = file.create_dataset("volume", data=values, **packed)
        if exposure is not None:
            file.create_dataset("exposure", data=exposure.cpu().float().numpy(), **packed)
            _describe(file["exposure"], {"units": "photons expected at the radial mean"})
        own = {
            "kind": volume.kind,
            "spacing": volume.spacing,
            "spacing_units": spacing_units,
            "units": value_units,
            "axes": "x y z, origin at voxel G // 2",
        }
        _describe(data, {**attributes, **own})


def read(path: Path) -> Raw:
    """Return what a file of :func:`write` holds."""
    with _opened(path) as file:
        data = file["volume"]
        return Raw(
            values=_values(path, data),
            kind=str(_plain(data.attrs["kind"])),
            spacing=float(data.attrs["spacing"]),
            ours=True,
        )


def read_exposure(path: Path | str) -> Tensor | None:
    """Return the exposure stored with an HDF5 volume, None if it has none."""
    with _opened(Path(path)) as file:
        if "exposure" not in file:
            return None
        return torch.from_numpy(_values(Path(path), file["exposure"]))


def read_attributes(path: Path | str) -> dict[str, Any]:
    """Return the attributes stored with an HDF5 volume."""
    with _opened(Path(path)) as file:
        return {name: _plain(value) for name, value in file["volume"].attrs.items()}


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    with reading(path, "volume file"), h5py.File(path, "r") as file:
        found = _plain(file.attrs.get("format"))
        if found != FORMAT:
            raise FormatError(
                f"{path} has format {found!r}; expected {FORMAT!r} (of another program, save "
                "its array as .npy)"
            )
        yield file


def _describe(item: h5py.Group | h5py.Dataset, attributes: Mapping[str, Any]) -> None:
    """Attach attributes, texts with a fixed length.

    HDF5 keeps texts of variable length apart, without a checksum, and loops for ever on some damage
    to them.
    """
    for name, value in attributes.items():
        item.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Return an attribute as Python has it."""
    value = value.item() if hasattr(value, "item") else value
    return value.decode() if isinstance(value, bytes) else value


def _values(path: Path, data: h5py.Dataset) -> np.ndarray:
    require_size(f"{path}: {data.name}", data.shape)
    if data.dtype.kind not in "fiu":
        raise FormatError(f"{path}: {data.name} has type {data.dtype}; expected numbers")
    return read_whole(data).astype(np.float32)
