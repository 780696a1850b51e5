"""Volume files: HDF5 with units, MRC maps that other programs share, and plain numpy arrays.

What is read becomes a cube of odd size whose origin is the middle voxel (:mod:`.volume_grid`). The
format is told by a file's first bytes, not by its name: ``.map`` and ``.ccp4`` are MRC. Files are
written under a temporary name and renamed when complete, so one under its final name is whole.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from xraisim.core.errors import FormatError
from xraisim.core.types import Volume
from xraisim.files import volume_arrays, volume_hdf5, volume_mrc
from xraisim.files.atomic import require_space, whole_file
from xraisim.files.volume_grid import Raw, Stated, check_volume, to_volume

read_exposure = volume_hdf5.read_exposure
_HEAD_BYTES = 1024


def write_volume(
    path: Path | str,
    volume: Volume,
    attributes: Mapping[str, Any] | None = None,
    exposure: Tensor | None = None,
) -> None:
    """Write ``volume``: an MRC map if ``path`` ends in ``.mrc``, ``.map`` or ``.ccp4``, else HDF5.

    ``attributes`` (HDF5 only) are stored beside the volume, and so is ``exposure`` [G, G, G]: the
    photons that each voxel would have had at the radial mean, which says how well it is known.
    Raises :class:`FormatError` for values that are not finite, a volume that is not a cube of odd
    size, or an unknown kind.
    """
    path = Path(path)
    check_volume(volume, f"volume for {path}")
    size = 4 * volume.values.numel() * (1 if exposure is None else 2)
    with whole_file(path) as temporary:
        require_space(path, size)
        if path.suffix in volume_mrc.SUFFIXES:
            volume_mrc.write(temporary, volume)
        else:
            volume_hdf5.write(temporary, volume, attributes or {}, exposure)


def read_volume(
    path: Path | str,
    *,
    kind: str | None = None,
    spacing: float | None = None,
    field: float | None = None,
) -> Volume:
    """Read a volume: HDF5 of :func:`write_volume`, MRC, ``.npy`` or ``.npz``.

    ``kind`` and ``spacing`` (Å⁻¹ of an intensity, Å of a density) state what a file of another
    program does not say; without a spacing it spans ``field``, if that is given. What a file of
    ours says cannot be overruled. Raises :class:`FormatError` for another format, a file that is
    truncated or damaged, values that are not finite or a volume that cannot be used, and
    ``FileNotFoundError`` where there is no file.
    """
    path = Path(path)
    return to_volume(
        path, _reader(path, _head(path))(path), Stated(kind=kind, spacing=spacing, field=field)
    )


def read_attributes(path: Path | str) -> dict[str, Any]:
    """Return the attributes stored with an HDF5 volume; other formats have none."""
    if not _head(Path(path)).startswith(volume_hdf5.SIGNATURE):
        return {}
    return volume_hdf5.read_attributes(path)


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(_HEAD_BYTES)


def _reader(path: Path, head: bytes) -> Callable[[Path], Raw]:
    if head.startswith(volume_hdf5.SIGNATURE):
        return volume_hdf5.read
    if head.startswith(volume_arrays.SIGNATURES):
        return volume_arrays.read
    if volume_mrc.recognised(head):
        return volume_mrc.read
    raise FormatError(
        f"{path} is not a readable volume file: it does not start as HDF5, MRC (.mrc, .map, "
        ".ccp4), .npy or .npz do, or is truncated"
    )
