"""skopi's NumPy path (PyPI ``skopi``) on our structure and detector, with our amplitudes.

skopi computes F on a mesh of 151³ with CUDA only; here it is given F from our transform on that
mesh. It then interpolates the complex amplitude trilinearly and draws a Poisson number per pixel.
"""

from pathlib import Path

import numpy as np

from benchmarks.studies.common.measured_command import measure, thread_limit
from benchmarks.studies.simulator.peer_figures import PeerRun
from xraisim.core.json_text import to_json
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, Geometry
from xraisim.sample.structure import Atoms
from xraisim.scattering.structure_factor import structure_factor_grid

GRID = 151  # skopi's own default


class Skopi:
    """skopi under the interpreter ``python``, working in ``folder``.

    ``detector`` is square; ``beam`` is polarised along x. Raises :class:`CommandError` if skopi
    cannot be imported there.
    """

    def __init__(
        self, python: Path, folder: Path, *, beam: Beam, detector: Detector, threads: int
    ) -> None:
        # Not resolved: the interpreter of an environment is a link out of it.
        self._python, self._folder = python.absolute(), folder.resolve()
        self._beam, self._detector, self._threads = beam, detector, threads
        asked = "import skopi; from importlib.metadata import version as v; print(v('skopi'))"
        self.version = measure([self._python, "-c", asked]).stdout.split()[-1]
        folder.mkdir(parents=True, exist_ok=True)

    def prepare(self, atoms: Atoms, geometry: Geometry) -> None:
        """Write the amplitudes on skopi's mesh, the kept pixels and the setting."""
        spacing = 2 * float(np.linalg.norm(geometry.s, axis=1).max()) / (GRID - 1)
        F = structure_factor_grid(atoms, GRID, spacing, self._beam.photon_energy_ev)
        np.save(self._folder / "volume.npy", F.astype(np.complex128))
        np.save(self._folder / "kept.npy", ~geometry.mask.reshape(geometry.shape))
        detector = self._detector
        setting = {
            "pixels": detector.columns,
            "side_m": detector.columns * detector.pixel_size_mm * 1e-3,
            "distance_m": detector.distance_mm * 1e-3,
            "photon_energy_ev": self._beam.photon_energy_ev,
            "photons_per_pulse": self._beam.photons_per_pulse,
            "focus_radius_m": self._beam.focus_radius_um * 1e-6,
            "kept": "kept.npy",
            "volume": "volume.npy",
            "out": "photons.h5",
        }
        (self._folder / "setting.json").write_text(to_json(setting), encoding="utf-8")

    def make(self, patterns: int) -> PeerRun:
        """Run the driver."""
        driver = Path(__file__).with_name("skopi_driver.py")
        taken = measure(
            [self._python, driver, "setting.json", str(patterns)],
            directory=self._folder,
            environment=thread_limit(self._threads),
        )
        photons = taken.figures()["photons_per_pattern"]
        return PeerRun.of(taken, patterns, photons, self._folder / "photons.h5")
