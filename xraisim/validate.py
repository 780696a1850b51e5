"""Checks of a pattern file: each a registered function that yields what is wrong, if anything."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from xraisim.core.types import Photons
from xraisim.core.units import CLASSICAL_ELECTRON_RADIUS_UM, wavelength_angstrom
from xraisim.detector import scattering_vectors
from xraisim.pattern_schema import UNITS
from xraisim.patterns import PatternReader

_BLOCK = 4096
_TRUTH_NAMES = ("orientation", "quaternion", "rotation", "hit", "conformation", "truth")

Check = Callable[[PatternReader, h5py.File], Iterator[str]]
CHECKS: list[Check] = []


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one check; ``problems`` is empty if the file passes."""

    name: str
    problems: tuple[str, ...]


def check(function: Check) -> Check:
    """Register a check; its docstring is the name shown."""
    CHECKS.append(function)
    return function


def validate(path: Path | str) -> list[Finding]:
    """Run every check on a pattern file; raises :class:`FormatError` if it cannot be opened."""
    findings = []
    with PatternReader(path) as reader, h5py.File(path, "r") as file:
        for function in CHECKS:
            name = (function.__doc__ or function.__name__).strip().rstrip(".")
            findings.append(Finding(name=name, problems=tuple(function(reader, file))))
    return findings


def _blocks(reader: PatternReader) -> Iterator[tuple[int, Photons]]:
    for start in range(0, reader.n_patterns, _BLOCK):
        yield start, reader.read_raw(start, min(start + _BLOCK, reader.n_patterns))


@check
def _units(reader: PatternReader, file: h5py.File) -> Iterator[str]:
    """Every dataset is there and says its unit."""
    for name, unit in UNITS.items():
        if name not in file:
            yield f"{name} is missing"
        elif file[name].attrs.get("units") != unit:
            yield f"{name} has units {file[name].attrs.get('units')!r}, expected {unit!r}"


@check
def _entries(reader: PatternReader, file: h5py.File) -> Iterator[str]:
    """Photon entries are ordered by pixel within each pattern and count at least one."""
    for start, block in _blocks(reader):
        if (block.count < 1).any():
            yield f"patterns from {start}: entries with zero photons"
        step = np.diff(block.pixel)
        inner = np.diff(block.rows()) == 0
        if (step[inner] < 0).any():
            yield f"patterns from {start}: pixels are not in ascending order"


@check
def _mask(reader: PatternReader, file: h5py.File) -> Iterator[str]:
    """No photons lie on masked pixels."""
    mask = file["detector/mask"][()].astype(bool)
    for start, block in _blocks(reader):
        masked = int(mask[block.pixel].sum())
        if masked:
            yield f"patterns from {start}: {masked} entries on masked pixels"


@check
def _geometry(reader: PatternReader, file: h5py.File) -> Iterator[str]:
    """Scattering vectors follow from pixel positions and wavelength."""
    wavelength = reader.info["wavelength_angstrom"]
    expected = scattering_vectors(file["detector/position"][()].astype(float), wavelength)
    error = np.abs(file["detector/s"][()] - expected).max()
    if not error < 1e-5 * np.abs(expected).max():
        yield f"s differs from (k_out − z)/λ by up to {error:.3g} Å⁻¹"
    if abs(wavelength_angstrom(reader.info["photon_energy_ev"]) / wavelength - 1) > 1e-6:
        yield f"wavelength {wavelength} Å does not belong to the photon energy"


@check
def _gain(reader: PatternReader, file: h5py.File) -> Iterator[str]:
    """The gain is fluence × r_e² × solid angle × polarisation."""
    per_steradian = reader.info["fluence_photons_per_um2"] * CLASSICAL_ELECTRON_RADIUS_UM**2
    solid_angle, polarisation = file["detector/solid_angle"][()], file["detector/polarisation"][()]
    expected = per_steradian * solid_angle.astype(float) * polarisation
    if not np.allclose(file["detector/gain"][()], expected, rtol=1e-5):
        yield "gain is not J₀·r_e²·ΔΩ·P; corrections belong in the gain, never in the counts"


@check
def _no_truth(reader: PatternReader, file: h5py.File) -> Iterator[str]:
    """The file holds no truth: orientations, hits or conformations."""
    names: list[str] = []
    file.visit(names.append)
    for name in names:
        if any(word in name.lower() for word in _TRUTH_NAMES):
            yield f"{name} looks like truth; it belongs in the truth file"
