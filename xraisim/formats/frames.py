"""Dense frames in an HDF5 dataset, written block by block: what several formats share."""

from pathlib import Path

import h5py
import numpy as np

from xraisim.core.types import Photons
from xraisim.files.atomic import require_space
from xraisim.formats import counts
from xraisim.formats.base import Append, Target


def append_frames(
    path: Path, file: h5py.File, name: str, target: Target, panels: tuple[int, ...]
) -> Append:
    """Create the int32 dataset ``name`` [N, *panels, rows, columns] and return what fills it.

    One chunk per frame, gzip; ``path`` is the file's final name, on whose disk space is asked for.
    """
    frame = (*panels, *target.shape)
    data = file.create_dataset(
        name,
        (target.patterns, *frame),
        np.int32,
        chunks=(1, *frame) if target.patterns else None,
        compression="gzip" if target.patterns else None,
        compression_opts=1 if target.patterns else None,
        shuffle=bool(target.patterns),
    )
    done = 0

    def append(photons: Photons) -> None:
        nonlocal done
        require_space(path, 4 * len(photons) * target.pixels)
        data[done : done + len(photons)] = counts.dense(photons, target.pixels).reshape(-1, *frame)
        done += len(photons)

    return append
