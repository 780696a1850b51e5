"""A small pattern file with everything that can go wrong in a conversion."""

from pathlib import Path

import numpy as np
import pytest

from xraisim.core.types import Photons
from xraisim.files.patterns import PatternWriter
from xraisim.formats import open_source
from xraisim.formats.counts import dense
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry

SETTING = Detector(rows=6, columns=8, pixel_size_mm=9.0, distance_mm=120.0, beamstop_radius_mm=8.0)
BEAM = Beam(photon_energy_ev=3000.0, polarisation="y")
PATTERNS = 11


def some_frames(mask: np.ndarray | None = None) -> np.ndarray:
    """Counts int32 [11, 48]: sparse, one frame empty, one full, counts up to 70,000."""
    rng = np.random.default_rng(11)
    frames = rng.poisson(0.6, (PATTERNS, 48)).astype(np.int32)
    frames[3] = 0
    frames[4] = rng.integers(1, 400, 48)
    frames[6, 40] = 70_000
    if mask is not None:
        frames[:, mask] = 0
    return frames


def as_photons(frames: np.ndarray) -> Photons:
    """Sparse patterns from dense ones, pattern by pattern."""
    lit = [np.flatnonzero(frame) for frame in frames]
    return Photons(
        offsets=np.cumsum([0, *map(len, lit)]),
        pixel=np.concatenate(lit).astype(np.int32),
        count=np.concatenate(
            [frame[pixel] for frame, pixel in zip(frames, lit, strict=True)]
        ).astype(np.int32),
    )


def frames_in(path: Path, name: str | None = None, dataset: str | None = None) -> np.ndarray:
    """All frames of a file in any format, dense."""
    with open_source(path, name, dataset) as source:
        return dense(source.read(0, source.patterns), source.known.pixels)


@pytest.fixture
def detector():
    """The geometry of the pattern file."""
    return geometry(SETTING, BEAM)


@pytest.fixture
def frames(detector) -> np.ndarray:
    """Its counts; none on masked pixels."""
    return some_frames(detector.mask)


@pytest.fixture
def patterns(tmp_path, detector, frames) -> Path:
    """The pattern file."""
    path = tmp_path / "patterns.h5"
    with PatternWriter(
        path,
        detector=detector,
        beam=BEAM,
        background=np.linspace(0.0, 0.2, 48),
        particle_diameter_angstrom=80.0,
        provenance={"structure": "test", "versions": {"x-rai": "0"}},
    ) as writer:
        writer.append(as_photons(frames[:5]))
        writer.append(as_photons(frames[5:]))
    return path
