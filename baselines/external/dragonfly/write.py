"""From a pattern file to Dragonfly's photons, detector, random start and configuration.

Only usable pixels are written, in the detector's order, so that it spends no time on the others.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32, Int64
from scipy.special import gammaln

from baselines.external.dragonfly.config import DragonflyConfig
from baselines.external.dragonfly.program import LOG
from xraisim.core.errors import SamplingError
from xraisim.core.random import generator
from xraisim.core.types import Photons, Pixels
from xraisim.core.units import CLASSICAL_ELECTRON_RADIUS_UM
from xraisim.files.patterns import PatternReader
from xraisim.formats.base import Source, Target
from xraisim.formats.dragonfly_detector import (
    GOOD,
    NOT_FOR_ORIENTATION,
    DragonflyDetector,
    from_experiment,
    write_detector,
)
from xraisim.formats.emc import create_sparse
from xraisim.formats.xrai import open_xrai

PHOTONS, DETECTOR, START, OUTPUT = "photons.emc", "detector.h5", "start.h5", "data"
_BLOCK = 4096
_RIM_VOXELS = 1.5
_CONFIG = """\
[emc]
in_photons_file = {photons}
in_detector_file = {detector}
start_model_file = {start}
output_folder = {output}
log_file = {log}
num_div = {config.num_div}
need_scaling = {scaling}
beta_factor = {config.beta_factor}
beta_schedule = {config.beta_jump} {config.beta_period}
{background}"""


@dataclass(frozen=True, kw_only=True)
class Input:
    """What was written, and what is needed to read the result.

    ``electrons2``: electrons² that one unit of Dragonfly's intensity stands for; ``spacing``: Å⁻¹
    per voxel; ``grid``: voxels per edge; ``photons`` K and ``log_factorials`` Σ log k! of
    every pattern are of the pixels that orient; ``s_range`` in Å⁻¹, of all pixels written.
    """

    grid: int
    spacing: float
    electrons2: float
    photons: Float64[np.ndarray, "N"]
    log_factorials: Float64[np.ndarray, "N"]
    s_range: tuple[float, float]
    diameter_angstrom: float

    @property
    def patterns(self) -> int:
        """How many were written."""
        return len(self.photons)


def write_input(patterns: Path, folder: Path, config: DragonflyConfig) -> Input:
    """Write everything that Dragonfly reads into ``folder``.

    Raises :class:`SamplingError` if no pixel or no photon is left within ``d_min_angstrom``.
    """
    with PatternReader(patterns) as reader:
        info = reader.info
        kept, s_range = _usable(reader.pixels, config.d_min_angstrom)
    diameter, wavelength = info["particle_diameter_angstrom"], info["wavelength_angstrom"]
    ewald_voxels = config.oversampling * diameter / wavelength
    with open_xrai(patterns) as source:
        experiment = source.known.experiment
        assert experiment is not None  # a pattern file knows everything
        detector = _pixels(from_experiment(experiment), kept, ewald_voxels)
        totals, factorials = _write_photons(folder / PHOTONS, source, kept, detector.mask == GOOD)
    if not totals.any():
        raise SamplingError(f"no photons at all within |s| < {s_range[1]:.4g} Å⁻¹; check the mask")
    write_detector(folder / DETECTOR, detector)
    grid = volume_size(detector)
    # Its own random start is uniform too, of this mean, but its seed is the clock's.
    orienting = int((detector.mask == GOOD).sum())
    write_start(folder / START, grid, 2 * float(totals.mean()) / orienting, config.seed)
    (folder / "config.ini").write_text(_config_text(config, detector))
    gain = info["fluence_photons_per_um2"] * CLASSICAL_ELECTRON_RADIUS_UM**2
    return Input(
        grid=grid,
        spacing=1 / (wavelength * ewald_voxels),
        # it divides corr by its mean, so its intensity is photons in a pixel of mean corr
        electrons2=1 / (gain * float(detector.corr.mean())),
        photons=totals,
        log_factorials=factorials,
        s_range=s_range,
        diameter_angstrom=diameter,
    )


def _usable(
    pixels: Pixels, d_min: float | None
) -> tuple[Int64[np.ndarray, "P"], tuple[float, float]]:
    """Return the detector indices of pixels up to ``d_min`` (Å), ascending, and their |s|."""
    radius = pixels.radius
    # a float32 step to spare, so that the outermost pixel is within its own radius
    count = pixels.count_below(1 / d_min * (1 + 1e-7)) if d_min else len(pixels)
    if not count:
        raise SamplingError(
            f"no usable pixel within d_min_angstrom = {d_min}; they begin at "
            f"{1 / float(radius[0]):.1f} Å: choose a smaller spacing"
        )
    kept = np.sort(pixels.index[:count].numpy())
    return kept, (float(radius[0]), float(radius[count - 1]))


def volume_size(detector: DragonflyDetector) -> int:
    """Return the voxels per edge that Dragonfly gives its volume."""
    return int(2 * np.ceil(np.sqrt((detector.q**2).sum(1).max())) + 3)


def write_start(path: Path, grid: int, highest: float, seed: int) -> None:
    """Write a random volume, uniform from 0 to ``highest``."""
    draw = generator(seed, "dragonfly/start")
    values = torch.rand(1, grid, grid, grid, generator=draw, dtype=torch.float64)
    with h5py.File(path, "w") as file:
        file["intens"] = (highest * values).numpy()


def _pixels(
    whole: DragonflyDetector, kept: Int64[np.ndarray, "P"], ewald_voxels: float
) -> DragonflyDetector:
    """Return the pixels ``kept`` on a grid of another voxel size.

    Those of the rim are merged but orient nothing: their templates would come from voxels that
    hardly any pixel reaches, which is where Dragonfly's volumes blow up.
    """
    background = whole.background
    q = whole.q[kept] * (ewald_voxels / whole.ewald_rad)
    radius = np.linalg.norm(q, axis=1)
    inner = radius <= radius.max() - _RIM_VOXELS
    return replace(
        whole,
        q=q,
        corr=whole.corr[kept],
        mask=np.where(inner, GOOD, NOT_FOR_ORIENTATION).astype(np.uint8),
        ewald_rad=ewald_voxels,
        background=None if background is None else background[kept],
    )


def _write_photons(
    path: Path, source: Source, kept: Int64[np.ndarray, "P"], orients: Bool[np.ndarray, "P"]
) -> tuple[Float64[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
    """Write the photons on ``kept`` pixels; return K and Σ log k! of those that ``orients`` has."""
    number, place = source.patterns, np.full(source.known.pixels, -1, np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    target = Target(
        patterns=number, pixels=len(kept), shape=(1, len(kept)), experiment=None, provenance={}
    )
    totals, factorials = np.zeros(number), np.zeros(number)
    with create_sparse(path, target) as append:
        for start in range(0, number, _BLOCK):
            stop = min(start + _BLOCK, number)
            block = _on_pixels(source.read(start, stop), place).summed()
            append(block)
            rows, used = block.rows(), orients[block.pixel]
            sums = [
                np.bincount(rows, np.where(used, values, 0.0), minlength=len(block))
                for values in (block.count, gammaln(block.count + 1.0))
            ]
            totals[start:stop], factorials[start:stop] = sums
    return totals, factorials


def _on_pixels(photons: Photons, place: Int32[np.ndarray, "D"]) -> Photons:
    """Return the photons with pixels numbered by ``place``, those at −1 left out."""
    pixel = place[photons.pixel]
    keep = pixel >= 0
    edges = np.concatenate([[0], np.cumsum(keep)])
    return Photons(offsets=edges[photons.offsets], pixel=pixel[keep], count=photons.count[keep])


def _config_text(config: DragonflyConfig, detector: DragonflyDetector) -> str:
    return _CONFIG.format(
        photons=PHOTONS,
        detector=DETECTOR,
        start=START,
        output=OUTPUT,
        log=LOG,
        config=config,
        scaling=int(config.need_scaling),
        background="" if detector.background is None else f"background_file = {DETECTOR}\n",
    )
