"""A small EMC run of known volume and poses, with the pattern file that it was made from."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from xraisim.files.result import Result, write_result
from xraisim.files.volumes import write_volume


@dataclass(frozen=True, kw_only=True)
class Case:
    """``directory`` of the run and its pattern file."""

    directory: Path
    patterns: Path


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


@pytest.fixture
def case(tmp_path: Path, lumps) -> Case:
    """A finished run whose volume, poses and fluences are the true ones."""
    run = tmp_path / "run"
    write_metrics(run, metrics())
    (run / "config.toml").write_text('restarts = 2\ndevice = "<cpu>"\n')
    count = len(lumps.poses)
    result = Result(
        method="emc", patterns=count, seconds=4000.0, patterns_per_s=300.0,
        d_min_angstrom=20.0, peak_memory_gib=1.25,
    )  # fmt: skip
    write_result(run, result)
    reach = {"s_max_per_angstrom": 1.001 * lumps.s_max_per_angstrom}
    write_volume(run / "intensity.h5", lumps.volume, reach)
    with h5py.File(run / "poses.h5", "w") as file:
        file["orientations"], file["fluence"] = lumps.poses.numpy(), lumps.fluence.numpy()
        file["likelihood"] = np.linspace(100, 200, count)
        file["occupancy"] = np.linspace(0.2, 1, count)
        file["mutual_information"] = np.linspace(2, 8, count)
    return Case(directory=run, patterns=lumps.patterns)
