"""Make a data set: structure → intensity → expected photons → pattern file and truth file."""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from xraisim.atomic import whole_file
from xraisim.beam import Beam, FluenceSpread
from xraisim.core import config as configuration
from xraisim.core.errors import ConfigError, SamplingError
from xraisim.detector import Detector, Geometry, geometry
from xraisim.instruments import preset
from xraisim.intensity import intensity_spline
from xraisim.locate import locate, sha256
from xraisim.patterns import PatternWriter
from xraisim.photons import PhotonSource
from xraisim.structure import Atoms, read_atoms
from xraisim.truth import Truth, truth_path, write_truth

_BLOCK = 1024

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """Everything that determines a data set.

    ``structure``: a path or an identifier; ``chains``: shell patterns; ``assembly``: its name,
    empty for the atoms as deposited; ``b_factors``, ``anomalous``: whether the file's B factors
    and f′, f″ are used; ``instrument``: the preset that ``beam`` and ``detector`` started from.
    """

    structure: str = "4v5d"
    chains: str = "*"
    assembly: str = ""
    b_factors: bool = True
    anomalous: bool = True
    patterns: int = 1000
    seed: int = 0
    instrument: str = "xrai2025"
    background_photons_per_pixel: float = 0.0
    beam: Beam = field(default_factory=lambda: preset("xrai2025").beam)
    detector: Detector = field(default_factory=lambda: preset("xrai2025").detector)
    fluence: FluenceSpread = field(default_factory=FluenceSpread)

    def __post_init__(self) -> None:
        if self.patterns < 1:
            raise ConfigError(f"patterns is {self.patterns}; at least 1 is needed")
        if not 0 <= self.background_photons_per_pixel < math.inf:
            raise ConfigError(
                f"background_photons_per_pixel is {self.background_photons_per_pixel}; it must be "
                "zero or positive"
            )


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a simulation made and how fast."""

    path: str
    truth_path: str
    patterns: int
    photons_per_pattern: float
    bytes_per_photon: float
    setup_s: float
    patterns_per_s: float
    sha256: str


def from_mapping(mapping: dict[str, Any]) -> SimulationConfig:
    """Build a configuration whose ``beam`` and ``detector`` tables override the preset's keys."""
    chosen = preset(mapping.get("instrument", "xrai2025"))
    merged = dict(mapping)
    for name in ("beam", "detector"):
        given = mapping.get(name, {})
        if not isinstance(given, dict):
            raise ConfigError(f"{name} must be a table, found {given!r}")
        merged[name] = {**configuration.to_mapping(getattr(chosen, name)), **given}
    return configuration.from_mapping(SimulationConfig, merged)


def simulate(
    config: SimulationConfig,
    out: Path | str,
    *,
    structures: Path | str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Write ``out`` and its truth file ``<stem>.truth.h5``; return what was made.

    ``structures`` is a directory to look for the structure in; ``progress`` is called with the
    number of patterns just written. Raises the :class:`UserError` family; nothing is left behind
    under the final names unless both files are whole.
    """
    started, out = time.perf_counter(), Path(out)
    path = locate(config.structure, directory=structures)
    atoms = read_atoms(path, chains=config.chains, assembly=config.assembly)
    detector = geometry(config.detector, config.beam)
    check_speckle_sampling(atoms.diameter_angstrom, config)
    source = photon_source(config, atoms, detector)
    source.draw(0, 1)  # compiles the kernel, so that the rate below is the rate
    ready = time.perf_counter()
    provenance = _provenance(config, path)
    writer = PatternWriter(
        out,
        detector=detector,
        beam=config.beam,
        background=config.background_photons_per_pixel,
        particle_diameter_angstrom=atoms.diameter_angstrom,
        provenance=provenance,
    )
    # Both get their final names at the end of the block, or neither does.
    with whole_file(truth_path(out)) as truth_file, writer:
        truth, photons = _write_blocks(config, source, writer, progress, provenance)
        write_truth(truth_file, truth)
    seconds = time.perf_counter() - ready
    return Summary(
        path=str(out),
        truth_path=str(truth_path(out)),
        patterns=config.patterns,
        photons_per_pattern=photons / config.patterns,
        bytes_per_photon=out.stat().st_size / max(photons, 1),
        setup_s=ready - started,
        patterns_per_s=config.patterns / seconds,
        sha256=sha256(out),
    )


def photon_source(config: SimulationConfig, atoms: Atoms, detector: Geometry) -> PhotonSource:
    """Return the source of a configuration's patterns."""
    volume = intensity_spline(
        atoms,
        detector.s_max,
        config.beam.photon_energy_ev if config.anomalous else None,
        b_factors=config.b_factors,
    )
    background = config.background_photons_per_pixel
    return PhotonSource(volume, detector, config.fluence, background, config.seed)


def check_speckle_sampling(diameter_angstrom: float, config: SimulationConfig) -> None:
    """Check that the pixels resolve the particle's speckles, 1/(2D) wide.

    Above 1/D from pixel to pixel neighbouring speckles fall on one pixel: :class:`SamplingError`.
    Between 1/(2D) and 1/D, a :class:`UserWarning`.
    """
    setting, wavelength = config.detector, config.beam.wavelength_angstrom
    step = setting.pixel_size_mm / setting.distance_mm / wavelength
    nyquist_pixel = setting.distance_mm * wavelength / (2 * diameter_angstrom)
    advice = (
        f"speckles of a {diameter_angstrom:.0f} Å particle are 1/(2D) = "
        f"{0.5 / diameter_angstrom:.3g} Å⁻¹ wide and the pixels are {step:.3g} Å⁻¹ apart; sample "
        f"them with pixels of {nyquist_pixel:.3g} mm or less at {setting.distance_mm:g} mm, or "
        f"{setting.distance_mm * setting.pixel_size_mm / nyquist_pixel:.4g} mm away or farther"
    )
    if step * diameter_angstrom > 1:
        raise SamplingError(f"the particle is too large for the pixel size: {advice}")
    if step * diameter_angstrom > 0.5:
        warnings.warn(f"speckles are undersampled: {advice}", stacklevel=2)


def _write_blocks(
    config: SimulationConfig,
    source: PhotonSource,
    writer: PatternWriter,
    progress: Progress | None,
    provenance: dict[str, Any],
) -> tuple[Truth, int]:
    """Draw and append all patterns; return the truth and the number of photons."""
    orientations, fluence, photons = [], [], 0
    for first in range(0, config.patterns, _BLOCK):
        patterns = min(_BLOCK, config.patterns - first)
        draw = source.draw(first, patterns)
        writer.append(draw.photons)
        orientations.append(draw.orientations)
        fluence.append(draw.fluence)
        photons += int(draw.photons.count.sum())
        if progress is not None:
            progress(patterns)
    truth = Truth(
        orientations=np.concatenate(orientations),
        fluence=np.concatenate(fluence),
        hits=np.ones(config.patterns, np.uint8),
        seed=config.seed,
        structure=config.structure,
        structure_sha256=provenance["structure_sha256"],
        chains=config.chains,
        assembly=config.assembly,
        config=provenance["config"],
    )
    return truth, photons


def _provenance(config: SimulationConfig, path: Path) -> dict[str, Any]:
    packages = ("x-rai", "numpy", "gemmi", "finufft", "numba", "h5py")
    return {
        "structure": path.name,
        "structure_sha256": sha256(path),
        "config": configuration.dumps(config),
        "seed": config.seed,
        "versions": {name: version(name) for name in packages},
    }
