"""A small detector, and patterns as dictionaries from pixel to count."""

from pathlib import Path
from typing import Any

import numpy as np

from xraisim.core.types import Photons
from xraisim.files.patterns import PatternWriter
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry

GEOMETRY = geometry(Detector(rows=6, columns=8, pixel_size_mm=9, beamstop_radius_mm=8), Beam())


def writer(path: Path, provenance: dict[str, Any] | None = None) -> PatternWriter:
    return PatternWriter(
        path,
        detector=GEOMETRY,
        beam=Beam(),
        background=0.25,
        particle_diameter_angstrom=100.0,
        provenance=provenance or {"structure": "test", "versions": {"x-rai": "0"}},
    )


def as_photons(patterns: list[dict[int, int]]) -> Photons:
    rows = [sorted(pattern.items()) for pattern in patterns]
    flat = [entry for row in rows for entry in row]
    return Photons(
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64),
        pixel=np.array([pixel for pixel, _ in flat], np.int32),
        count=np.array([count for _, count in flat], np.int32),
    )


def as_dicts(photons: Photons) -> list[dict[int, int]]:
    out: list[dict[int, int]] = [{} for _ in range(len(photons))]
    for row, pixel, count in zip(photons.rows(), photons.pixel, photons.count, strict=True):
        out[row][int(pixel)] = out[row].get(int(pixel), 0) + int(count)
    return out
