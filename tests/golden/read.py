"""One adapter per kind of file: where a name in a file changes, only this module has to follow."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.truth import read_truth, truth_path
from xraisim.files.volumes import read_volume

_POINTS = 60


def photons(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the decoded photons of a pattern file: offsets, pixels and counts."""
    with PatternReader(path) as reader:
        found = reader.read_raw(0, reader.n_patterns)
    return (
        found.offsets.astype(np.int64), found.pixel.astype(np.int64), found.count.astype(np.int64)
    )  # fmt: skip


def photons_per_pattern(path: Path) -> np.ndarray:
    """Return the photons of each pattern of a pattern file."""
    offsets, _, count = photons(path)
    total = np.concatenate([[0], np.cumsum(count)])
    return total[offsets[1:]] - total[offsets[:-1]]


def scattering_vectors(path: Path) -> np.ndarray:
    """Return the scattering vectors of the usable pixels of a pattern file, by |s|."""
    with PatternReader(path) as reader:
        return reader.pixels.s.double().numpy()


def true_orientations(path: Path) -> np.ndarray:
    """Return the orientations in the truth file of a pattern file."""
    return read_truth(truth_path(path)).orientations


def orientations(path: Path, name: str = "orientations") -> np.ndarray:
    """Return the orientations of a pose file."""
    return np.asarray(pose_column(path, name))


def pose_column(path: Path, name: str) -> np.ndarray:
    """Return a column of a pose file."""
    with h5py.File(path) as file:
        return file[name][()]


def volume_points(path: Path) -> np.ndarray:
    """Return a volume at points spread over the half of it that Friedel's law leaves."""
    values = read_volume(path).values
    flat = values.reshape(-1)[: values.numel() // 2]
    grid = values.shape[0]
    index = torch.arange(flat.numel())
    cells = torch.stack([index // grid**2, index // grid % grid, index % grid], 1) - grid // 2
    inside = torch.nonzero(cells.double().norm(dim=1) < 0.45 * grid)[:, 0]
    return flat[inside[:: max(1, len(inside) // _POINTS)]].double().numpy()


def radial_means(path: Path) -> np.ndarray:
    """Return the mean of each shell of a volume, which no rotation changes."""
    volume = read_volume(path)
    return _radial_means(volume)


def _radial_means(volume: Volume) -> np.ndarray:
    axis = np.arange(volume.grid) - volume.grid // 2
    shell = np.rint(np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)).astype(int)
    values = volume.values.double().numpy()
    inside = shell <= volume.grid // 2
    total = np.bincount(shell[inside], values[inside])
    return total / np.bincount(shell[inside])


def events(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind in a log of metrics."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [one for one in found if one.get("event", kind) == kind]


def result(directory: Path) -> dict[str, Any]:
    """Return the figures of a result."""
    return json.loads((directory / "result.json").read_text())["figures"]
