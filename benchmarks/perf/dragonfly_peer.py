"""Dragonfly's simulator (PyPI ``dragonfly-spi``) on our structure, detector and photon count.

Its own chain is run: ``make_densities`` → ``make_intensities`` → ``make_detector`` → ``make_data``.
``make_data`` looks every pixel up by trilinear interpolation in |F|² on a grid of one pixel per
voxel and draws a Poisson number for each that is not masked; all patterns stay in memory until they
are written, orientations are not kept, and the seed is the clock's. It always writes HDF5.
"""

import configparser
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np

from benchmarks.perf.measured_command import Measured, measure, thread_limit
from xraisim.beam import Beam
from xraisim.detector import Detector, Geometry
from xraisim.scattering import structure_factor_grid
from xraisim.structure import Atoms

_DETECTOR, _DENSITY, _INTENSITY, _PHOTONS = "detector.h5", "density.bin", "intens.bin", "photons.h5"
_BAD = 2  # of its mask: a pixel that is not simulated


@dataclass(frozen=True, kw_only=True)
class DragonflyRun:
    """One run of ``make_data``: the whole command, its file included."""

    patterns: int
    photons_per_pattern: float
    wall_s: float
    peak_gib: float
    disk_bytes: int

    @property
    def bytes_per_photon(self) -> float:
        """Size of the pattern file per photon in it."""
        return self.disk_bytes / (self.patterns * self.photons_per_pattern)


class Dragonfly:
    """The installed programs in ``programs``, working in ``folder``.

    Raises ``FileNotFoundError`` if they are not there. Everything is restricted to ``threads``.
    """

    def __init__(
        self, programs: Path, folder: Path, *, beam: Beam, detector: Detector, threads: int
    ) -> None:
        for name in ("python", "dragonfly.utils.make_data"):
            if not (programs / name).exists():
                raise FileNotFoundError(f"{programs} has no {name}; expected the bin directory of "
                                        "an environment with dragonfly-spi")
        # mpi4py, which it imports, refuses to start as root without these two.
        root = {f"OMPI_ALLOW_RUN_AS_ROOT{end}": "1" for end in ("", "_CONFIRM")}
        self._environment = thread_limit(threads) | root
        self._programs, self._folder = programs.absolute(), folder
        self._beam, self._detector = beam, detector
        self._threads = threads
        self.grid = 0
        folder.mkdir(parents=True, exist_ok=True)

    def version(self) -> str:
        """Return the installed version."""
        return self._python("import importlib.metadata as m; print(m.version('dragonfly-spi'))")

    def prepare(self, atoms: Atoms, geometry: Geometry) -> float:
        """Make its volume and detector file; return the seconds that its programs took."""
        write_pdb(self._folder / "atoms.pdb", atoms)
        mask = np.where(geometry.mask, _BAD, 0).astype(np.uint8).reshape(geometry.shape)
        mask.T.tofile(self._folder / "mask.byt")  # its first index is x
        self._configure(num_data=1, mean_count=1.0)
        steps = ("make_densities", "make_intensities", "make_detector")
        seconds = sum(self._run(step).wall_s for step in steps)
        self.grid = round((self._folder / _INTENSITY).stat().st_size / 8) ** (1 / 3)
        self.grid = round(self.grid)
        return seconds

    def make(self, patterns: int, photons_per_pattern: float) -> DragonflyRun:
        """Run ``make_data`` scaled to a mean photon count."""
        self._configure(num_data=patterns, mean_count=photons_per_pattern)
        taken = self._run("make_data")
        photons = self._folder / _PHOTONS
        size = photons.stat().st_size
        photons.unlink()
        return DragonflyRun(
            patterns=patterns,
            photons_per_pattern=float(_found(r"frames with (\S+) photons/frame", taken.stdout)),
            wall_s=taken.wall_s,
            peak_gib=taken.peak_gib,
            disk_bytes=size,
        )

    def photons_at_fluence(self) -> float:
        """Return the mean photons per pattern that it expects at the beam's own fluence.

        The mean over 5,000 random orientations of its volume, before any photon is drawn.
        """
        self._configure(num_data=1, fluence=self._beam.fluence_photons_per_um2)
        taken = self._run("make_data")
        return float(_found(r"Target mean_count = (\S+) for", taken.stderr))

    def use_volume_of(self, atoms: Atoms) -> None:
        """Replace its intensity volume by our |F|² at its voxels, all else being equal."""
        pixels = self._detector.distance_mm / self._detector.pixel_size_mm
        spacing = 1 / (self._beam.wavelength_angstrom * pixels)
        F = structure_factor_grid(atoms, self.grid, spacing, self._beam.photon_energy_ev)
        (np.abs(F).astype(np.float64) ** 2).tofile(self._folder / _INTENSITY)

    def _configure(self, **make_data: float) -> None:
        config = configparser.ConfigParser()
        config.optionxform = str  # type: ignore[assignment, method-assign]
        detector = self._detector
        config["parameters"] = {
            "detd": f"{detector.distance_mm!r}",
            "lambda": f"{self._beam.wavelength_angstrom!r}",
            "detsize": f"{detector.columns} {detector.rows}",
            "pixsize": f"{detector.pixel_size_mm!r}",
            "stoprad": "0",
            "polarization": {"unpolarised": "none"}.get(
                self._beam.polarisation, self._beam.polarisation
            ),
        }
        config["make_densities"] = {
            "in_pdb_file": "atoms.pdb",
            "scatt_dir": self._scattering_tables(),
            "out_density_file": _DENSITY,
            "num_threads": str(self._threads),
        }
        config["make_intensities"] = {
            "in_density_file": _DENSITY,
            "out_intensity_file": _INTENSITY,
            "num_threads": str(self._threads),
        }
        config["make_detector"] = {"out_detector_file": _DETECTOR, "in_mask_file": "mask.byt"}
        config["make_data"] = {
            "in_detector_file": _DETECTOR,
            "in_intensity_file": _INTENSITY,
            "out_photons_file": _PHOTONS,
        } | {key: repr(value) for key, value in make_data.items()}
        with (self._folder / "config.ini").open("w", encoding="utf-8") as file:
            config.write(file)
