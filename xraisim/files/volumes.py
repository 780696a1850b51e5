"""Volume files: HDF5 with units, and MRC maps for other programs to open.

Both are written under a temporary name and renamed when complete, so a file under its final name is
whole. HDF5 holds dataset ``volume`` [x, y, z] float32 with attributes ``kind``, ``spacing`` and
their units. An MRC map has axis order z, y, x; the voxel size field holds Å for a density and Å⁻¹
for an intensity, which a label states.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import torch
from torch import Tensor

from xraisim.core.errors import FormatError, reads
from xraisim.core.types import Volume
from xraisim.files.held import read_whole

FORMAT = "x-rai volume 1"
_UNITS = {"intensity": ("1/angstrom", "electrons^2"), "density": ("angstrom", "relative density")}
_LABELS = {
    "intensity": "X-RAI intensity |F|^2; voxel size in 1/A",
    "density": "X-RAI density; voxel size in A",
}


def write_volume(
    path: Path | str,
    volume: Volume,
    attributes: Mapping[str, Any] | None = None,
    exposure: Tensor | None = None,
) -> None:
    """Write ``volume`` to ``path``: an MRC map if the name ends in ``.mrc``, else HDF5.

    ``attributes`` (HDF5 only) are stored beside the volume, and so is ``exposure`` [G, G, G]: the
    photons that each voxel would have had at the radial mean, which says how well it is known.
    Raises :class:`FormatError` for values
    that are not finite, a volume that is not a cube of odd size, or an unknown kind.
    """
    path = Path(path)
    _check(volume, f"volume for {path}")
    if path.suffix == ".mrc":
        _replace(path, lambda temporary: _write_mrc(temporary, volume))
    else:
        _replace(path, lambda temporary: _write_hdf5(temporary, volume, attributes or {}, exposure))


def read_volume(path: Path | str) -> Volume:
    """Read a volume written by :func:`write_volume`.

    Raises :class:`FormatError` for another format, a truncated file or values that are not finite,
    and ``FileNotFoundError`` where there is no file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(2, "no such file", str(path))
    volume = _read_mrc(path) if path.suffix == ".mrc" else _read_hdf5(path)
    _check(volume, str(path))
    return volume


@reads("volume file")
def read_exposure(path: Path | str) -> Tensor | None:
    """Return the exposure stored with an HDF5 volume, None if it has none."""
    _read_hdf5(Path(path))
    with h5py.File(path, "r") as file:
        return torch.from_numpy(read_whole(file["exposure"])) if "exposure" in file else None


@reads("volume file")
def read_attributes(path: Path | str) -> dict[str, Any]:
    """Return the attributes stored with an HDF5 volume."""
    _read_hdf5(Path(path))
    with h5py.File(path, "r") as file:
        return {k: v.item() if hasattr(v, "item") else v for k, v in file["volume"].attrs.items()}


def _check(volume: Volume, name: str) -> None:
    shape = tuple(volume.values.shape)
    if len(shape) != 3 or len(set(shape)) != 1 or shape[0] % 2 == 0:
        raise FormatError(f"{name} has shape {shape}; expected a cube of odd size")
    if volume.kind not in _UNITS:
        raise FormatError(f"{name} has kind {volume.kind!r}; expected one of {', '.join(_UNITS)}")
    if not volume.spacing > 0:
        raise FormatError(f"{name} has spacing {volume.spacing}; expected a positive number")
    bad = int((~torch.isfinite(volume.values)).sum())
    if bad:
        raise FormatError(
            f"{name} has {bad:,} values that are not finite numbers; mask them or set them to zero"
        )


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file in the same directory, then give it its final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _write_hdf5(
    path: Path, volume: Volume, attributes: Mapping[str, Any], exposure: Tensor | None
) -> None:
    spacing_units, value_units = _UNITS[volume.kind]
    with h5py.File(path, "w") as file:
        file.attrs["format"] = FORMAT
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        values = volume.values.detach().cpu().float().numpy()
        data = file.create_dataset("volume", data=values, **packed)
        if exposure is not None:
            file.create_dataset("exposure", data=exposure.cpu().float().numpy(), **packed)
            file["exposure"].attrs["units"] = "photons expected at the radial mean"
        data.attrs.update(dict(attributes))
        data.attrs["kind"] = volume.kind
        data.attrs["spacing"] = volume.spacing
        data.attrs["spacing_units"] = spacing_units
        data.attrs["units"] = value_units
        data.attrs["axes"] = "x y z, origin at voxel G // 2"


@reads("volume file")
def _read_hdf5(path: Path) -> Volume:
    try:
        with h5py.File(path, "r") as file:
            found = file.attrs.get("format")
            if found != FORMAT:
                raise FormatError(f"{path} has format {found!r}; expected {FORMAT!r}")
            data = file["volume"]
            return Volume(
                values=torch.from_numpy(read_whole(data).astype(np.float32)),
                spacing=float(data.attrs["spacing"]),
                kind=str(data.attrs["kind"]),
            )
    except (OSError, KeyError) as error:
        raise FormatError(
            f"{path} is not a readable volume file (not HDF5, truncated or damaged): {error}"
        ) from error


def _write_mrc(path: Path, volume: Volume) -> None:
    values = volume.values.detach().cpu().float().numpy()
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(np.ascontiguousarray(values.transpose(2, 1, 0)))
        file.voxel_size = volume.spacing
        for axis in "xyz":
            file.header.origin[axis] = -(volume.grid // 2) * volume.spacing
        file.header.label[0] = _LABELS[volume.kind]
        file.header.nlabl = 1


@reads("MRC map")
def _read_mrc(path: Path) -> Volume:
    try:
        with mrcfile.open(path, mode="r") as file:
            values = np.array(file.data, dtype=np.float32).transpose(2, 1, 0)
            spacing = float(file.voxel_size.x)
            label = bytes(file.header.label[0]).decode(errors="replace").strip()
    except (ValueError, OSError) as error:
        raise FormatError(f"{path} is not a readable MRC map: {error}") from error
    # A map from another program carries no label of ours, and such maps are densities.
    kind = "intensity" if label.startswith(_LABELS["intensity"]) else "density"
    return Volume(values=torch.from_numpy(np.ascontiguousarray(values)), spacing=spacing, kind=kind)
