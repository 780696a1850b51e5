"""The formats by name, and which of them a file is: told by what it holds, not by its name."""

from functools import partial
from pathlib import Path

import h5py

from xraisim.core.errors import FormatError, did_you_mean, reading
from xraisim.core.types import Photons
from xraisim.files.pattern_schema import FORMAT
from xraisim.files.shards import files_of
from xraisim.files.texts import attribute
from xraisim.formats import cxi, dragonfly_detector, dragonfly_h5, emc, skopi, stack, xrai
from xraisim.formats.base import Format, Read, Source, Wanted

DETECTOR = "dragonfly-detector"

FORMATS = {
    "xrai": Format(
        title="X-RAI pattern file",
        open=xrai.open_xrai,
        create=xrai.create_xrai,
        needs_experiment=True,
    ),
    "emc": Format(title="Dragonfly .emc, sparse", open=emc.open_emc, create=emc.create_sparse),
    "emc-int": Format(
        title="Dragonfly .emc, dense integers",
        open=emc.open_emc,
        create=partial(emc.create_dense, kind=emc.DENSE_INT),
    ),
    "emc-double": Format(
        title="Dragonfly .emc, dense doubles",
        open=emc.open_emc,
        create=partial(emc.create_dense, kind=emc.DENSE_DOUBLE),
    ),
    "dragonfly-h5": Format(
        title="Dragonfly HDF5 photons",
        open=dragonfly_h5.open_dragonfly_h5,
        create=dragonfly_h5.create_dragonfly_h5,
    ),
    "cxi": Format(title="CXI", open=cxi.open_cxi, create=cxi.create_cxi),
    "skopi": Format(
        title="skopi / spinifel HDF5",
        open=skopi.open_skopi,
        create=skopi.create_skopi,
        needs_experiment=True,
    ),
    "h5": Format(title="stack in HDF5", open=stack.open_h5, create=stack.create_h5),
    "npy": Format(title="stack in .npy", open=stack.open_npy, create=stack.create_npy),
    "npz": Format(title="stack in .npz", open=stack.open_npz, create=stack.create_npz),
}

_SUFFIXES = {".emc": "emc", ".cxi": "cxi", ".npy": "npy", ".npz": "npz", ".dat": DETECTOR}


def known_format(name: str) -> str:
    """Return ``name`` if it is a format's; raises :class:`FormatError` that names the nearest."""
    names = [*FORMATS, DETECTOR]
    if name in names:
        return name
    hint = did_you_mean(name, names)
    raise FormatError(f"unknown format {name!r}; {hint}")


def recognise(path: Path | str) -> str:
    """Return the name of a file's format; raises :class:`FormatError` if it is none of ours."""
    path = Path(path)
    if not path.is_file():
        return _recognise_shards(path)
    with open(path, "rb") as file:
        head = file.read(8)
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK"):
        return "npz"
    if h5py.is_hdf5(path):
        return _recognise_hdf5(path)
    if emc.is_emc(path):
        return "emc"
    if dragonfly_detector.is_dat(path):
        return DETECTOR
    detail = "it is empty"
    if head:
        detail = f"it begins with {head!r}"
    if path.suffix == ".emc":
        emc.open_emc(path)  # whose error says what is wrong with it
    raise FormatError(
        f"{path}: not a format that is known here ({detail}); expected one of "
        f"{', '.join([*FORMATS, DETECTOR])}: is the file whole?"
    )


def _recognise_shards(path: Path) -> str:
    """Return the format of the shards that have a name in common, which pattern files may be."""
    shards = [one for one in files_of(path) if one != path]
    if not shards:
        raise FormatError(f"{path}: no such file")
    if (found := recognise(shards[0])) != "xrai":
        raise FormatError(
            f"{path} is there as {len(shards)} files; those of format {found} are read one by one, "
            f"as {shards[0].name}"
        )
    return found


def _recognise_hdf5(path: Path) -> str:
    with reading(path, "HDF5 file"), h5py.File(path, "r") as file:
        if attribute(file, "format") == FORMAT:
            return "xrai"
        names = set(file)
    if {"place_ones", "place_multi", "count_multi"} & names:
        return "dragonfly-h5"
    if {"qx", "qy", "qz", "corr"} <= names:
        return DETECTOR
    if "entry_1" in names:
        return "cxi"
    return "skopi" if skopi.RECIPROCAL in names else "h5"


def target_format(path: Path | str, source: str) -> str:
    """Return the format that a file of this name gets; ``source`` is the format read.

    Raises :class:`FormatError` if the name does not say.
    """
    suffix = Path(path).suffix
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if suffix in (".h5", ".hdf5"):
        if source == DETECTOR:
            return DETECTOR
        if source != "xrai":
            return "xrai"
    raise FormatError(
        f"{path}: the name does not say in which format to write; choose with --to, one of "
        f"{', '.join([*FORMATS, DETECTOR])}"
    )


def open_source(
    path: Path | str,
    name: str | None = None,
    dataset: str | None = None,
    mask_missing: bool = False,
) -> Source:
    """Open a file of patterns; ``name`` is its format if it should not be recognised.

    ``dataset``, ``mask_missing``: see :class:`Wanted`.

    Raises :class:`FormatError` for a file that is not what it should be.
    """
    path = Path(path)
    name = known_format(name) if name else recognise(path)
    if name == DETECTOR:
        raise FormatError(f"{path}: a detector, no patterns; it goes with them as --detector")
    title = FORMATS[name].title
    with reading(path, title, "if it is something else, leave out --from, or choose another"):
        source = FORMATS[name].open(path, Wanted(dataset=dataset, mask_missing=mask_missing))
    source.read = _guarded(source.read, path, title)
    return source


def _guarded(read: Read, path: Path, title: str) -> Read:
    def read_block(start: int, stop: int) -> Photons:
        with reading(path, title):
            return read(start, stop)

    return read_block
