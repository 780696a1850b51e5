"""Dragonfly's simulator (PyPI ``dragonfly-spi``) on our structure, detector and photon count.

Its own chain is run: ``make_densities`` → ``make_intensities`` → ``make_detector`` → ``make_data``.
``make_data`` looks every pixel up by trilinear interpolation of |F|², on a grid of one voxel per
pixel unless told otherwise, and draws a Poisson number for each that is not masked. All patterns
stay in memory until they are written, orientations are not kept, the seed is the clock's and the
file is always HDF5. Atoms are points of Z + f′ electrons, without form factors or B factors, and
the density is smoothed twice.
"""

import re
from pathlib import Path

import gemmi
import numpy as np

from benchmarks.studies.common.dragonfly import Environment
from benchmarks.studies.common.measured_command import CommandError
from benchmarks.studies.simulator.peer_figures import PeerRun
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, Geometry
from xraisim.sample.structure import Atoms

_INTENSITY, _PHOTONS = "intensities.bin", "photons.h5"
_BAD = 2  # in its masks: a pixel that is not simulated
_CONFIG = """\
[parameters]
detd = {detector.distance_mm!r}
lambda = {beam.wavelength_angstrom!r}
detsize = {detector.columns} {detector.rows}
pixsize = {detector.pixel_size_mm!r}
ewald_rad = {ewald_voxels!r}
stoprad = 0
polarization = {beam.polarisation}

[make_densities]
in_pdb_file = atoms.pdb
scatt_dir = {tables}
out_density_file = density.bin
num_threads = {threads}

[make_intensities]
in_density_file = density.bin
out_intensity_file = {intensity}
num_threads = {threads}

[make_detector]
in_mask_file = mask.byt
out_detector_file = detector.h5

[make_data]
in_detector_file = detector.h5
in_intensity_file = {intensity}
out_photons_file = {photons}
num_data = {patterns}
{scaling}
"""


class Dragonfly:
    """The programs in the directory ``programs``, working in ``folder``.

    ``beam`` is polarised along x or y; ``voxels_per_pixel`` refines its grid beyond its default.
    """

    def __init__(
        self,
        programs: Path,
        folder: Path,
        *,
        beam: Beam,
        detector: Detector,
        threads: int,
        voxels_per_pixel: int = 1,
    ) -> None:
        self._dragonfly, self._folder = Environment(programs, threads), folder
        self._beam, self._detector = beam, detector
        pixels = detector.distance_mm / detector.pixel_size_mm
        self._ewald_voxels = voxels_per_pixel * pixels  # radius of the Ewald sphere
        folder.mkdir(parents=True, exist_ok=True)
        self.version, self._tables = self._dragonfly.version, self._dragonfly.package / "aux"

    def prepare(self, atoms: Atoms, geometry: Geometry) -> float:
        """Make its volume and detector file; return the seconds that its programs took."""
        (self._folder / "atoms.pdb").write_text(pdb_text(atoms), encoding="ascii")
        mask = np.where(geometry.mask, _BAD, 0).astype(np.uint8).reshape(geometry.shape)
        mask.T.tofile(self._folder / "mask.byt")  # its first index is x
        self._configure(1, "mean_count = 1.0")
        steps = ("make_densities", "make_intensities", "make_detector")
        return sum(self._dragonfly.run(step, self._folder).wall_s for step in steps)

    @property
    def grid(self) -> int:
        """Voxels per edge of its volume, once it is made."""
        return round(((self._folder / _INTENSITY).stat().st_size / 8) ** (1 / 3))

    def make(self, patterns: int, photons_per_pattern: float) -> PeerRun:
        """Run ``make_data``, scaled to a mean number of photons per pattern."""
        self._configure(patterns, f"mean_count = {photons_per_pattern!r}")
        taken = self._dragonfly.run("make_data", self._folder)
        photons = _figure(r"frames with (\S+) photons/frame", taken.stdout)
        return PeerRun.of(taken, patterns, photons, self._folder / _PHOTONS)

    def photons_at_fluence(self) -> float:
        """Return the photons per pattern that it expects at the beam's fluence.

        The mean over 5,000 random orientations of its volume, before any photon is drawn.
        """
        self._configure(1, f"fluence = {self._beam.fluence_photons_per_um2!r}")
        told = self._dragonfly.run("make_data", self._folder).stderr
        return _figure(r"Target mean_count = (\S+) for", told)

    def _configure(self, patterns: int, scaling: str) -> None:
        text = _CONFIG.format(
            detector=self._detector,
            beam=self._beam,
            ewald_voxels=self._ewald_voxels,
            threads=self._dragonfly.threads,
            tables=self._tables,
            intensity=_INTENSITY,
            photons=_PHOTONS,
            patterns=patterns,
            scaling=scaling,
        )
        (self._folder / "config.ini").write_text(text, encoding="utf-8")


def pdb_text(atoms: Atoms) -> str:
    """Return the columns of a PDB file that Dragonfly reads: position, occupancy, element."""
    symbols = [gemmi.Element(int(number)).name.upper() for number in atoms.elements]
    lines = [
        f"ATOM  {'':24}{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{b:6.2f}{'':10}{symbol:>2}"
        for (x, y, z), occupancy, b, symbol in zip(
            atoms.positions, atoms.occupancy, np.clip(atoms.b_iso, 0, 999), symbols, strict=True
        )
    ]
    return "\n".join([*lines, "END", ""])


def _figure(pattern: str, printed: str) -> float:
    found = re.search(pattern, printed)
    if found is None:
        raise CommandError(f"Dragonfly did not print {pattern!r}; it printed\n{printed[-2000:]}")
    return float(found[1])
