"""Opening a pattern file while it is written, or after its writer was killed."""

import ctypes
import os
from pathlib import Path

import h5py

# HDF5 takes metadata whose checksum is wrong for half written, and reads again after 1, 2, 4 … ns:
# a hundred times by default, which for a damaged file is for ever. Thirty times are one second.
_MOST_ATTEMPTS = 30


def open_growing(path: Path) -> h5py.File:
    """Open as a reader beside a writer (SWMR).

    Without a lock: if only for a moment, it would keep a writer from beginning.
    """
    try:
        return _open(path)
    except OSError as error:
        if "file locking flag" not in str(error):
            raise
        return h5py.File(path, "r", swmr=True)  # this process writes it, and holds the lock


def _open(path: Path) -> h5py.File:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_file_locking(False, True)
    _limit_attempts(access)
    flags = h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ
    return h5py.File(h5py.h5f.open(os.fsencode(path), flags, access))


def _limit_attempts(access: h5py.h5p.PropFAID) -> None:
    """Limit how often metadata are read again; h5py has no function for it, HDF5 has."""
    library = ctypes.CDLL(h5py.h5f.__file__)  # names are looked for in what it is linked to, too
    limit = getattr(library, "H5Pset_metadata_read_attempts", None)
    if limit is not None:
        limit(ctypes.c_int64(access.id), ctypes.c_uint(_MOST_ATTEMPTS))
