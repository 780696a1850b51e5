"""A small EMC run of known volume and poses, with the pattern file that it was made from."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from xraisim.core import rotations, so3
from xraisim.core.fourier import coordinates
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Photons, Volume
from xraisim.files.patterns import PatternWriter
from xraisim.files.volumes import write_volume
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry

DETECTOR = Detector(rows=24, columns=20, pixel_size_mm=4.0, beamstop_radius_mm=6.0)
GEOMETRY = geometry(DETECTOR, Beam())
PATTERNS, BACKGROUND, PHOTONS = 300, 0.05, 400
GRID = 31


@dataclass(frozen=True, kw_only=True)
class Case:
    """``directory`` of the run and its pattern file; what they were made from."""

    directory: Path
    patterns: Path
    volume: Volume
    poses: torch.Tensor
    fluence: torch.Tensor


def lumpy_volume(spacing: float) -> Volume:
    """Return an intensity with many lumps, of a magnitude that gives the photons wanted."""
    draw = generator(5, "lumps")
    centres = (GRID / 3) * torch.randn(40, 3, generator=draw)
    voxel = coordinates(GRID, 1.0)
    values = sum(torch.exp(-(voxel - c).square().sum(-1) / 8) for c in (*centres, *-centres))
    usable = torch.from_numpy(GEOMETRY.gain[GEOMETRY.good]).sum()
    scale = PHOTONS / (float(values.mean()) * float(usable))
    return Volume(values=(values * scale).float(), spacing=spacing, kind="intensity")


def metrics() -> list[dict]:
    """Return two starts of three iterations at level 1 and two iterations at level 2."""
    where = [(1, 0)] * 3 + [(1, 1)] * 3 + [(2, 2)] * 2
    return [
        {
            "iteration": number + 1,
            "level": level,
            "restart": restart,
            "beta": 0.1 + 0.05 * (number % 3),
            "log_likelihood_per_photon": 1.5 + 0.1 * (number % 3) - 0.02 * restart,
            "volume_change": None if number == 6 else 0.5 / (1 + number % 3),
            "mutual_information_nats": 3.0 + number / 4,
            "d_min_angstrom": 60.0 / level,
            "seconds": 0.5 * level,
        }
        for number, (level, restart) in enumerate(where)
    ]


def write_metrics(directory: Path, lines: list[dict]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(name="metrics")
def metrics_fixture() -> list[dict]:
    return metrics()


@pytest.fixture(name="write_metrics")
def write_metrics_fixture() -> Callable[[Path, list[dict]], None]:
    return write_metrics


def _draw(volume: Volume, poses: torch.Tensor, fluence: torch.Tensor) -> np.ndarray:
    """Draw counts [N, pixels] of the whole detector."""
    s, gain = (torch.from_numpy(a).float() for a in (GEOMETRY.s, GEOMETRY.gain))
    rate = torch.zeros(len(poses), len(s))
    good = torch.from_numpy(GEOMETRY.good)
    cut = slice_volume(volume.values, rotations.to_matrix(poses), s[good], volume.spacing)
    rate[:, good] = fluence[:, None] * gain[good] * cut + BACKGROUND
    return torch.poisson(rate, generator=generator(1, "photons")).numpy().astype(int)


def _write_patterns(path: Path, counts: np.ndarray) -> None:
    row, pixel = np.nonzero(counts)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(counts)))])
    with PatternWriter(
        path, detector=GEOMETRY, beam=Beam(), background=BACKGROUND,
        particle_diameter_angstrom=100.0,
        provenance={"structure": "lumps", "config": "", "versions": {}},
    ) as writer:  # fmt: skip
        writer.append(
            Photons(
                offsets=offsets.astype(np.int64),
                pixel=pixel.astype(np.int32),
                count=counts[row, pixel].astype(np.int32),
            )
        )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A finished run whose volume, poses and fluences are the true ones."""
    reach = float(np.linalg.norm(GEOMETRY.s[GEOMETRY.good], axis=1).max())
    volume = lumpy_volume(1.02 * reach / (GRID // 2 - 1))
    draw = generator(2, "poses")
    poses = so3.haar(PATTERNS, draw)
    fluence = torch.exp(0.3 * torch.randn(PATTERNS, generator=draw))
    _write_patterns(tmp_path / "patterns.h5", _draw(volume, poses, fluence))
    run = tmp_path / "run"
    write_metrics(run, metrics())
    (run / "config.toml").write_text('restarts = 2\ndevice = "<cpu>"\n')
    summary = {"patterns": PATTERNS, "seconds": 4000.0, "peak_memory_gib": 1.25, "device": "cpu"}
    (run / "summary.json").write_text(json.dumps(summary))
    write_volume(run / "intensity.h5", volume, {"s_max_per_angstrom": 1.001 * reach})
    with h5py.File(run / "poses.h5", "w") as file:
        file["orientations"], file["fluence"] = poses.numpy(), fluence.numpy()
        file["likelihood"] = np.linspace(100, 200, PATTERNS)
        file["occupancy"] = np.linspace(0.2, 1, PATTERNS)
        file["mutual_information"] = np.linspace(2, 8, PATTERNS)
    return Case(
        directory=run, patterns=tmp_path / "patterns.h5", volume=volume, poses=poses,
        fluence=fluence,
    )  # fmt: skip
