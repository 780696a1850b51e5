"""A small pattern file, and a stand-in for Dragonfly that writes what Dragonfly writes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xraisim.core.types import Photons
from xraisim.files.patterns import PatternWriter
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry

SETTING = Detector(rows=9, columns=8, pixel_size_mm=6.0, distance_mm=120.0, beamstop_radius_mm=8.0)
BEAM = Beam(photon_energy_ev=3000.0, photons_per_pulse=1e14, polarisation="y")
PATTERNS, DIAMETER_ANGSTROM = 11, 60.0

FAKE = """#!{python}
import sys, time
from configparser import ConfigParser
import h5py
import numpy as np

print("a line for the console", flush=True)
{before}
config = ConfigParser()
config.read("config.ini")
emc = config["emc"]
patterns = int(np.fromfile(emc["in_photons_file"], "<i4", 1)[0])
with h5py.File(emc["start_model_file"]) as file:
    start = file["intens"][()]
quaternions = np.random.default_rng(0).normal(size=(420, 5))
quaternions[:, :4] /= np.linalg.norm(quaternions[:, :4], axis=1, keepdims=True)
with open(emc["log_file"], "w") as log:
    log.write("Cryptotomography\\n\\nReconstruction parameters:\\n\\n")
    log.write("Iter\\ttime\\trms_change\\tinfo_rate\\tlog-likelihood\\tnum_rot\\tbeta\\n")
with h5py.File(emc["output_folder"] + "/output_000.h5", "w") as file:
    file["intens"], file["scale"] = start, np.ones(patterns)
for iteration in range(1, int(sys.argv[-1]) + 1):
    with h5py.File(emc["output_folder"] + f"/output_{{iteration:03d}}.h5", "w") as file:
        file["intens"] = start * iteration
        file["scale"] = np.linspace(0.5, 1.5, patterns)
        file["orientations"] = np.arange(patterns) * 7 % 420
        file["quaternions"] = quaternions
        file["likelihood"] = -np.arange(patterns, dtype=float)
        file["mutual_info"] = np.full(patterns, 3.0)
    with open(emc["log_file"], "a") as log:
        change = "nan" if iteration == 2 else "1.0000e-01"
        log.write(f"{{iteration}}\\t0.50\\t{{change}}\\t3.0\\t-5.0e+00\\t420    \\t0.25\\n")
    {after}
"""


@pytest.fixture
def frames() -> np.ndarray:
    """Counts int32 [11, 72], none on masked pixels; one frame empty, one count beyond a uint8."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(0.7, (PATTERNS, 72)).astype(np.int32)
    counts[3] = 0
    counts[5, 60] = 700
    counts[:, geometry(SETTING, BEAM).mask] = 0
    return counts


@pytest.fixture
def write_patterns(tmp_path: Path, frames: np.ndarray) -> Callable[[float], Path]:
    """Return a writer of the pattern file, given its background in photons per pixel."""

    def write(background: float = 0.0) -> Path:
        path = tmp_path / "patterns.h5"
        row, pixel = np.nonzero(frames)
        with PatternWriter(
            path,
            detector=geometry(SETTING, BEAM),
            beam=BEAM,
            background=background,
            particle_diameter_angstrom=DIAMETER_ANGSTROM,
            provenance={},
        ) as writer:
            writer.append(
                Photons(
                    offsets=np.searchsorted(row, np.arange(PATTERNS + 1)),
                    pixel=pixel.astype(np.int32),
                    count=frames[row, pixel],
                )
            )
        return path

    return write


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return an installer of the stand-in; ``before`` and ``after`` are lines of Python in it."""

    def put(before: str = "", after: str = "pass") -> Path:
        directory = tmp_path / "bin"
        directory.mkdir(exist_ok=True)
        program = directory / "dragonfly.emc"
        program.write_text(FAKE.format(python=sys.executable, before=before, after=after))
        program.chmod(0o755)
        monkeypatch.setenv("XRAI_DRAGONFLY_BIN", str(directory))
        return directory

    return put


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take Dragonfly away from this machine."""
    monkeypatch.delenv("XRAI_DRAGONFLY_BIN", raising=False)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
