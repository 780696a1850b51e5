"""How many photons patterns have: all of them, and those beyond the central speckle.

Photons beyond s·D = 1.2 are what the benchmark's photon ladder counts, D being the particle's
diameter as the pattern file states it (``particle_diameter_angstrom``; of a simulated structure
twice the largest distance of an atom from the middle of the ball that encloses them, of a mixture
the largest). Further in the intensity falls from its centre as that of every body of this size: it
says little of the orientation, and it has most of the photons. Whatever a usable pixel counts
belongs to the photons, background too.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from xraisim.core.fingerprint import photons_sha256
from xraisim.core.types import Photons
from xraisim.files.patterns import PatternReader

BEYOND = 1.2  # s·D
_BLOCK = 2048  # patterns at a time


@dataclass(frozen=True, kw_only=True)
class PhotonCount:
    """Photons of a pattern file: means per pattern, and the hash of all of them.

    ``photons_per_pattern`` of all; ``photons_beyond`` of those beyond s·D = 1.2;
    ``photons_sha256``: :func:`xraisim.core.fingerprint.photons_sha256`.
    """

    photons_per_pattern: float
    photons_beyond: float
    photons_sha256: str


def count_photons(patterns: Path) -> PhotonCount:
    """Read all photons of a pattern file once, and count and hash them."""
    total = beyond = 0

    def counted(block: Photons) -> Photons:
        nonlocal total, beyond
        total += int(block.count.sum(dtype=np.int64))
        beyond += int(block.count[outer[block.pixel]].sum(dtype=np.int64))
        return block

    with PatternReader(patterns) as reader:
        outer, number = outer_pixels(reader), reader.n_patterns
        hashed = photons_sha256(
            counted(reader.read_raw(start, min(start + _BLOCK, number)))
            for start in range(0, number, _BLOCK)
        )
    return PhotonCount(
        photons_per_pattern=round(total / max(number, 1), 2),
        photons_beyond=round(beyond / max(number, 1), 2),
        photons_sha256=hashed,
    )


def outer_pixels(reader: PatternReader) -> Bool[np.ndarray, "P"]:
    """Return which of a detector's pixels, by flat index, are usable and beyond s·D = 1.2."""
    rows, columns = reader.detector_shape
    outer = np.zeros(rows * columns, bool)
    far = reader.pixels.radius > BEYOND / reader.info["particle_diameter_angstrom"]
    outer[reader.pixels.index[far].numpy()] = True
    return outer
