"""Dragonfly on its own terms: the simulation of its shipped configuration, and its EMC on that.

Its ``config.ini`` is taken from the package (4BED, λ 6.2 Å, 300 mm, 150 × 150 pixels of 0.512 mm,
10¹¹ photons/µm²); only the number of frames, and what is asked for by name, is changed.
"""

import json
import os
import time
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
import torch

from baselines.external.dragonfly import program
from baselines.external.dragonfly.program import LOG, LogLine, read_log
from baselines.external.dragonfly.write import volume_size, write_start
from benchmarks.studies.common.dragonfly import Environment
from xraisim import console
from xraisim.core.json_text import to_json
from xraisim.core.types import Volume
from xraisim.core.units import HC_EV_ANGSTROM
from xraisim.formats.convert import convert
from xraisim.formats.dragonfly_detector import DragonflyDetector, read_detector
from xraisim.formats.experiment import ExperimentConfig
from xraisim.sample.structure import read_atoms

_TIMES = "times.json"
Changes = Mapping[str, Mapping[str, object]]
AS_SHIPPED: Changes = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of its EMC: what its log says, and when each iteration was done, s after the start.

    ``loads``: the load average at the end of each iteration.
    """

    folder: Path
    log: list[LogLine]
    done_s: list[float]
    loads: list[float]

    def volume(self, iteration: int, spacing: float) -> Volume:
        """Return the intensity after an iteration, 0 where it is no number; of 0, the start."""
        with h5py.File(self.folder / "data" / f"output_{iteration:03d}.h5", "r") as file:
            values = torch.from_numpy(file["intens"][0]).float().nan_to_num(0.0, 0.0, 0.0)
        return Volume(values=values, spacing=spacing, kind="intensity")

    def largest_voxel(self, iteration: int) -> tuple[float, float]:
        """Return the largest intensity after an iteration and the weight of its voxel."""
        with h5py.File(self.folder / "data" / f"output_{iteration:03d}.h5", "r") as file:
            intensity, weight = file["intens"][0], file["inter_weight"][0]
        at = np.unravel_index(np.nanargmax(intensity), intensity.shape)
        return float(intensity[at]), float(weight[at])


class Simulation:
    """Frames that Dragonfly simulated in ``folder``; made unless they are there."""

    def __init__(
        self, programs: Path, folder: Path, frames: int, threads: int, changes: Changes = AS_SHIPPED
    ) -> None:
        self.dragonfly = Environment(programs, threads)
        self.folder, self._package = folder.absolute(), self.dragonfly.package
        self.config = self._configured(frames, changes)
        if not (self.folder / "data/photons.emc").exists():
            self._simulate()

    def _configured(self, frames: int, changes: Changes) -> ConfigParser:
        config = ConfigParser()
        config.read(self._package / "config.ini")
        config.read_dict({"make_data": {"num_data": str(frames)}})
        config.read_dict(
            {name: {k: str(v) for k, v in table.items()} for name, table in changes.items()}
        )
        return config

    def _simulate(self) -> None:
        console.say(f"Dragonfly simulates {self.config['make_data']['num_data']} frames")
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        if not (self.folder / "aux").exists():
            (self.folder / "aux").symlink_to(self._package / "aux")
        with (self.folder / "config.ini").open("w") as file:
            self.config.write(file)
        self.dragonfly.run("sim_setup", self.folder)

    @property
    def wavelength_angstrom(self) -> float:
        """The photons' wavelength."""
        return float(self.config["parameters"]["lambda"])

    @property
    def detector(self) -> DragonflyDetector:
        """The detector file that it simulated with."""
        return read_detector(self.folder / "data/det_sim.h5")

    @property
    def spacing(self) -> float:
        """Å⁻¹ per voxel."""
        return 1 / (self.wavelength_angstrom * self.detector.ewald_rad)

    @property
    def s_range(self) -> tuple[float, float]:
        """|s| in Å⁻¹ of the innermost and outermost pixel that it orients with."""
        radius = np.linalg.norm(self.detector.q[self.detector.mask == 0], axis=1) * self.spacing
        return float(radius.min()), float(radius.max())

    @property
    def diameter_angstrom(self) -> float:
        """The particle's largest distance."""
        code = self.config["make_densities"]["pdb_code"]
        return read_atoms(self._package / "aux" / f"{code}.pdb").diameter_angstrom

    def truth(self) -> Volume:
        """Return the intensity that the frames were drawn from, in its own unit."""
        values = np.fromfile(self.folder / "data/intensities.bin")
        grid = round(len(values) ** (1 / 3))
        cube = torch.from_numpy(values).float().reshape(grid, grid, grid)
        return Volume(values=cube, spacing=self.spacing, kind="intensity")

    def patterns(self) -> Path:
        """Return our pattern file of the same photons, converted unless it is there."""
        path = self.folder / "patterns.h5"
        if not path.exists():
            fluence = self.config["make_data"].getfloat("fluence")
            told = ExperimentConfig(
                particle_diameter_angstrom=self.diameter_angstrom,
                beam={
                    "photon_energy_ev": HC_EV_ANGSTROM / self.wavelength_angstrom,
                    "photons_per_pulse": fluence,  # on 1 µm²
                    "focus_radius_um": float(1 / np.sqrt(np.pi)),
                },
                detector={"pixel_size_mm": self.config["parameters"].getfloat("pixsize")},
            )
            detector = self.folder / "data/det_sim.h5"
            convert(self.folder / "data/photons.emc", path, config=told, detector=detector)
        return path

    def reconstruct(
        self,
        folder: Path,
        iterations: int,
        *,
        seed: int = 0,
        start: Volume | None = None,
        time_limit_s: float = 36_000.0,
        **settings: object,
    ) -> Run:
        """Run its EMC, as shipped but for ``settings``; a whole run that is there is read.

        ``start`` is scaled to the photons; without it the start is random, by ``seed``.
        """
        if not (folder / _TIMES).exists():  # which a run gets when it is whole
            (folder / "data").mkdir(parents=True, exist_ok=True)
            self._write_start(folder, seed, start)
            with (folder / "config.ini").open("w") as file:
                self._emc_config(settings).write(file)
            self._run(folder, iterations, time_limit_s)
        return read_run(folder)

    def _write_start(self, folder: Path, seed: int, start: Volume | None) -> None:
        detector, path = self.detector, folder / "start.h5"
        grid = volume_size(detector)
        if start is None:
            used = detector.mask == 0
            write_start(path, grid, 2 * self.photons_per_frame() / int(used.sum()), seed)
            return
        shift = (grid - start.grid) // 2
        cube = np.zeros((1, grid, grid, grid))
        inner = slice(shift, shift + start.grid)
        cube[0, inner, inner, inner] = start.values.double().numpy()
        with h5py.File(path, "w") as file:
            # its first iteration finds the scale
            file["intens"] = cube / cube.mean()

    def photons_per_frame(self) -> float:
        """Return the mean photons on the pixels that it orients with."""
        with h5py.File(self.folder / "data/photons.emc", "r") as file:
            used = self.detector.mask == 0
            ones = sum(int(used[row].sum()) for row in file["place_ones"])
            rows = zip(file["place_multi"], file["count_multi"], strict=True)
            several = sum(int(count[used[place]].sum()) for place, count in rows)
            return (ones + several) / len(file["place_ones"])

    def _emc_config(self, settings: Mapping[str, object]) -> ConfigParser:
        config = ConfigParser()
        values = dict(self.config["emc"]) | {
            "in_photons_file": self.folder / "data/photons.emc",
            "in_detector_file": self.folder / "data/det_sim.h5",
            "start_model_file": "start.h5",
            "output_folder": "data",
            "log_file": LOG,
        }
        config["emc"] = {key: str(value) for key, value in {**values, **settings}.items()}
        return config

    def _run(self, folder: Path, iterations: int, time_limit_s: float) -> None:
        began, done, loads = time.monotonic(), [], []

        def note(line: LogLine) -> None:
            done.append(time.monotonic() - began)
            loads.append(round(os.getloadavg()[0], 2))
            console.say(f"Dragonfly, iteration {line.iteration}: {line.seconds:.1f} s")

        program.run(
            self.dragonfly.emc,
            folder,
            iterations,
            threads=self.dragonfly.threads,
            time_limit_s=time_limit_s,
            on_iteration=note,
        )
        (folder / _TIMES).write_text(to_json({"done_s": done, "loads": loads}))


def read_run(folder: Path) -> Run:
    """Return a run from its folder; where nobody watched it, its log's seconds are added up."""
    log = read_log(folder / LOG)
    if (folder / _TIMES).exists():
        times = json.loads((folder / _TIMES).read_text())
        return Run(folder=folder, log=log, **times)
    summed = np.cumsum([line.seconds for line in log]).tolist()
    return Run(folder=folder, log=log, done_s=summed, loads=[])
