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
from jaxtyping import Float32
from torch import Tensor

from xraisim.core.errors import FormatError, reading
from xraisim.core.types import Volume
from xraisim.files.held import read_whole
from xraisim.files.texts import attribute, attributes, describe, plain
from xraisim.files.volume_grid import UNITS, Raw, require_size

SIGNATURE = b"\x89HDF"
FORMAT = "x-rai volume 1"


def write(path: Path, volume: Volume, known: Mapping[str, Any], exposure: Tensor | None) -> None:
    """Write a volume, what is to be known of it, and its exposure if there is one."""
    spacing_units, value_units = UNITS[volume.kind]
    with h5py.File(path, "w", libver="v110") as file:
        describe(file, {"format": FORMAT})
        packed = {
            "compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True,
        }  # fmt: skip
        values = volume.values.detach().cpu().float().numpy()
        data = file.create_dataset("volume", data=values, **packed)
        if exposure is not None:
            file.create_dataset("exposure", data=exposure.cpu().float().numpy(), **packed)
            describe(file["exposure"], {"units": "photons expected at the radial mean"})
        own = {
            "kind": volume.kind,
            "spacing": volume.spacing,
            "spacing_units": spacing_units,
            "units": value_units,
            "axes": "x y z, origin at voxel G // 2",
        }
        describe(data, {**known, **own})


def read(path: Path) -> Raw:
    """Return what a file of :func:`write` holds."""
    with _opened(path) as file:
        data = file["volume"]
        return Raw(
            values=_values(path, data),
            kind=str(plain(data.attrs["kind"])),
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
        return {name: _number(value) for name, value in attributes(file["volume"]).items()}


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    with reading(path, "volume file"), h5py.File(path, "r") as file:
        found = attribute(file, "format")
        if found != FORMAT:
            raise FormatError(
                f"{path} has format {found!r}; expected {FORMAT!r} (of another program, save "
                "its array as .npy)"
            )
        yield file


def _number(value: Any) -> Any:
    """Return a number of NumPy as Python has it."""
    return value.item() if isinstance(value, np.generic) else value


def _values(path: Path, data: h5py.Dataset) -> Float32[np.ndarray, "x y z"]:
    require_size(f"{path}: {data.name}", data.shape)
    if data.dtype.kind not in "fiu":
        raise FormatError(f"{path}: {data.name} has type {data.dtype}; expected numbers")
    return read_whole(data).astype(np.float32)
