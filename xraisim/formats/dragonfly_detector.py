"""Dragonfly's detector files, ``.h5`` and the older ASCII ``.dat``.

Pixel places are q = R·(x/ρ, y/ρ, d/ρ − 1) in voxels, R = ``ewald_rad``, so s = q/(R·λ); ``detd`` is
the distance in pixel sizes; ``corr`` = d/ρ³·P, d and ρ in pixel sizes, is solid angle times
polarisation. ``mask``: 0 good, 1 not used for orientation, 2 bad. An optional ``background``.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from xraisim.core.errors import FormatError, reading
from xraisim.files.atomic import whole_file
from xraisim.formats.experiment import Experiment, Known, pixel_pitch_mm
from xraisim.instrument.beam import POLARISATIONS
from xraisim.instrument.detector import polarisation_factor

GOOD, NOT_FOR_ORIENTATION, BAD = 0, 1, 2
NAMES = ("qx", "qy", "qz", "corr", "mask", "detd", "ewald_rad")

_EXPECTED = (
    f"expected HDF5 with {', '.join(NAMES)}, or text: a line `num_pix detd ewald_rad`, then a line "
    "`qx qy qz corr mask` per pixel"
)


@dataclass(frozen=True, kw_only=True)
class DragonflyDetector:
    """A detector file as it stands: ``q`` [P, 3], ``corr`` [P], ``mask`` uint8 [P]."""

    q: np.ndarray
    corr: np.ndarray
    mask: np.ndarray
    detd: float
    ewald_rad: float
    background: np.ndarray | None = None


def read_detector(path: Path | str) -> DragonflyDetector:
    """Read a detector file; raises :class:`FormatError` if it is not a whole one."""
    path = Path(path)
    with reading(path, "Dragonfly detector file", _EXPECTED):
        detector = _read_h5(path) if h5py.is_hdf5(path) else _read_dat(path)
    pixels = len(detector.q)
    if {len(detector.corr), len(detector.mask)} != {pixels} or not np.isfinite(detector.q).all():
        raise FormatError(f"{path}: q, corr and mask do not describe the same {pixels} pixels")
    if not (detector.detd > 0 and detector.ewald_rad > 0):
        raise FormatError(
            f"{path}: detd is {detector.detd}, ewald_rad {detector.ewald_rad}; "
            "both must be positive"
        )
    return detector


def _read_h5(path: Path) -> DragonflyDetector:
    with h5py.File(path, "r") as file:
        q = np.stack([np.asarray(file[name][()]).ravel() for name in ("qx", "qy", "qz")], -1)
        background = file["background"][()].ravel() if "background" in file else None
        return DragonflyDetector(
            q=q.astype(float),
            corr=file["corr"][()].ravel(),
            mask=file["mask"][()].ravel().astype(np.uint8),
            detd=float(file["detd"][()]),
            ewald_rad=float(file["ewald_rad"][()]),
            background=background,
        )


def _read_dat(path: Path) -> DragonflyDetector:
    with open(path) as file:
        pixels, detd, ewald_rad = (float(word) for word in file.readline().split())
        table = np.loadtxt(file, ndmin=2)
    if table.shape != (int(pixels), 5):
        raise ValueError(f"{pixels:.0f} pixels announced, a table of {table.shape} found")
    return DragonflyDetector(
        q=table[:, :3],
        corr=table[:, 3],
        mask=table[:, 4].astype(np.uint8),
        detd=detd,
        ewald_rad=ewald_rad,
    )


def is_dat(path: Path) -> bool:
    """Return whether a text file begins as an ASCII detector does."""
    try:
        with open(path, encoding="ascii") as file:
            lines = [[float(word) for word in file.readline().split()] for _ in range(2)]
    except ValueError:  # of float() and of the decoding alike
        return False
    return [len(line) for line in lines] == [3, 5]


def write_detector(path: Path, detector: DragonflyDetector) -> None:
    """Write a detector file: ASCII if its name ends in ``.dat``, else HDF5."""
    with whole_file(path) as whole:
        if path.suffix == ".dat":
            table = np.column_stack([detector.q, detector.corr, detector.mask])
            head = f"{len(table)} {detector.detd!r} {detector.ewald_rad!r}"
            formats = ["%.17g"] * 4 + ["%d"]
            np.savetxt(whole, table, fmt=formats, header=head, comments="")
            return
        with h5py.File(whole, "w") as file:
            for axis, name in enumerate(("qx", "qy", "qz")):
                file[name] = detector.q[:, axis]
            file["corr"], file["mask"] = detector.corr, detector.mask
            file["detd"], file["ewald_rad"] = detector.detd, detector.ewald_rad
            if detector.background is not None:
                file["background"] = detector.background


def from_experiment(experiment: Experiment) -> DragonflyDetector:
    """Return the detector file of an experiment: one voxel is one pixel step at the centre."""
    geometry, pitch = experiment.detector, pixel_pitch_mm(experiment.detector)
    detd = float(np.median(geometry.position_mm[:, 2])) / pitch
    background = experiment.background if experiment.background.any() else None
    return DragonflyDetector(
        q=geometry.s.astype(float) * (experiment.beam.wavelength_angstrom * detd),
        corr=(geometry.solid_angle_sr * geometry.polarisation).astype(float),
        mask=np.where(geometry.mask, BAD, GOOD).astype(np.uint8),
        detd=detd,
        ewald_rad=detd,
        background=None if background is None else background.astype(float),
    )


def known(detector: DragonflyDetector) -> Known:
    """Return what the file says; everything but the wavelength and the pixel size.

    Pixels of mask 1 count as usable: their photons are good. Files whose q_z is positive, of an
    older convention, are mirrored.
    """
    q = detector.q / detector.ewald_rad
    if q[:, 2].mean() > 0:
        q = q * np.array([1, 1, -1])
    direction = q + np.array([0.0, 0.0, 1.0])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    solid_angle = direction[:, 2] ** 3 / detector.detd**2  # d/ρ³ with ρ = d/cos 2θ
    name, factor = _polarisation(direction, detector.corr / solid_angle)
    return Known(
        pixels=len(q),
        shape=grid_shape(direction[:, :2] / direction[:, 2:] * detector.detd),
        polarisation=name,
        distance_pixels=detector.detd,
        direction=direction,
        solid_angle_sr=solid_angle,
        polarisation_factor=factor,
        mask=detector.mask == BAD,
        background=detector.background,
    )


def _polarisation(direction: np.ndarray, ratio: np.ndarray) -> tuple[str | None, np.ndarray]:
    """Return which polarisation explains corr/ΔΩ up to a constant, and the factor."""
    for name in POLARISATIONS:
        factor = polarisation_factor(direction, name)
        constant = np.median(ratio / factor)
        if np.abs(ratio / (constant * factor) - 1).max() < 1e-4:
            return name, factor
    return None, ratio / ratio.max()


def grid_shape(step: np.ndarray) -> tuple[int, int] | None:
    """Return (slow, fast) if ``step`` [P, 2], in pixels, is a regular grid in file order."""
    if len(step) < 4:
        return None
    moves = np.diff(step, axis=0)
    turns = np.flatnonzero(np.abs(moves - moves[0]).max(1) > 0.05)
    if not len(turns):
        return None
    fast = int(turns[0]) + 1
    if len(step) % fast or (np.diff(turns) != fast).any():
        return None
    return len(step) // fast, fast
