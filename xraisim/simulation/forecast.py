"""What a data set will take, told before it is made: from a few of its patterns, drawn on trial."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import h5py

from xraisim.core.errors import DiskError
from xraisim.files.photon_tables import PhotonTables
from xraisim.simulation.simulator import Simulator

_TRIAL = 128  # patterns


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """``patterns`` are those still to be made; ``file_bytes`` and ``seconds`` are for all of them.

    ``pixels_per_speckle``: pixels along a speckle of 1/(2D), D the ``diameter_angstrom`` of the
    largest particle; ``distance_mm`` of the nearest panel; ``resolution_angstrom`` of the
    outermost pixel; ``photons_per_pattern`` on average.
    """

    diameter_angstrom: float
    distance_mm: float
    pixels_per_speckle: float
    resolution_angstrom: float
    patterns: int
    photons_per_pattern: float
    file_bytes: float
    seconds: float

    def require_space(self, path: Path) -> None:
        """Raise :class:`DiskError` where a file ``path`` of this size would not fit."""
        free = shutil.disk_usage(path.parent).free
        if self.file_bytes > free:
            raise DiskError(
                f"{path} would take about {self.file_bytes / 1e9:,.1f} GB for {self.patterns:,} "
                f"patterns, and {free / 1e9:,.1f} GB are free; make fewer (--n), keep a lower "
                "resolution (--resolution), make shards on several disks (--shard), or write "
                "elsewhere (--out)"
            )


def forecast(simulator: Simulator, numbers: range, path: Path) -> Forecast:
    """Return what patterns ``numbers`` of an experiment will take in a file ``path``."""
    trial = numbers[:_TRIAL]
    began = time.perf_counter()
    photons = simulator.photons(trial.start, len(trial))
    drawn = time.perf_counter()
    with h5py.File("trial", "w", driver="core", backing_store=False, libver="latest") as file:
        tables = PhotonTables(file, path, len(simulator.geometry.mask))
        tables.append(photons)
        tables.finish()
        size = sum(item.id.get_storage_size() for item in file["photons"].values())
    written = time.perf_counter()
    share = len(numbers) / max(len(trial), 1)
    detector, D = simulator.geometry, simulator.diameter_angstrom
    return Forecast(
        diameter_angstrom=D,
        distance_mm=float(detector.position_mm[:, 2].min()),
        pixels_per_speckle=1 / (2 * D * detector.s_step),
        resolution_angstrom=1 / detector.s_max,
        patterns=len(numbers),
        photons_per_pattern=float(photons.count.sum()) / max(len(trial), 1),
        file_bytes=size * share,
        seconds=max(drawn - began, written - drawn) * share,  # the two go on side by side
    )
