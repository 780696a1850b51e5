"""Dragonfly's detector files, ``.h5`` and the older ASCII ``.dat``.

Pixel places are q = R·(x/ρ, y/ρ, d/ρ − 1) in voxels, R = ``ewald_rad``, so s = q/(R·λ); ``detd`` is
the distance in pixel sizes; ``corr`` = d/ρ³·P, d and ρ in pixel sizes, is solid angle times
polarisation. ``mask``: 0 good, 1 not used for orientation, above that bad. An optional
``background``.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Float, Float64, Integer, Shaped, UInt8

from xraisim.core.errors import FormatError, reading
from xraisim.files.atomic import whole_file
from xraisim.files.held import read_whole
from xraisim.formats import hdf5
from xraisim.formats.known import Experiment, Known, pixel_pitch_mm
from xraisim.instrument.beam import POLARISATIONS
from xraisim.instrument.detector import polarisation_factor

GOOD, NOT_FOR_ORIENTATION, BAD = 0, 1, 2  # and what is above: Dragonfly leaves it out as well
_FARTHEST = 1e9  # pixels: 100 km of the smallest
_OFF_SPHERE = 0.01  # of its radius, for vectors that were rounded
NAMES = ("qx", "qy", "qz", "corr", "mask", "detd", "ewald_rad")

_EXPECTED = (
    f"expected HDF5 with {', '.join(NAMES)}, or text: a line `num_pix detd ewald_rad`, then a line "
    "`qx qy qz corr mask` per pixel"
)


@dataclass(frozen=True, kw_only=True)
class DragonflyDetector:
    """A detector file as it stands, in which the lengths may differ."""

    q: Float64[np.ndarray, "_ 3"]
    corr: Float64[np.ndarray, "_"]
    mask: Integer[np.ndarray, "_"]
    detd: float
    ewald_rad: float
    background: Float64[np.ndarray, "_"] | None = None

    @property
    def bad(self) -> Bool[np.ndarray, "P"]:
        """Where a pixel is to be left out."""
        return np.asarray(self.mask > NOT_FOR_ORIENTATION)


def read_detector(path: Path | str) -> DragonflyDetector:
    """Read a detector file; raises :class:`FormatError` for a part, or for impossible values."""
    path = Path(path)
    with reading(path, "Dragonfly detector file", _EXPECTED):
        detector = _read_h5(path) if h5py.is_hdf5(path) else _read_dat(path)
    if problem := _problem(detector):
        raise FormatError(f"{path}: {problem}; mend the file, or mask those pixels (2)")
    return detector


def _problem(detector: DragonflyDetector) -> str:
    """Return what no detector has, or nothing; bad pixels may hold any q, corr and background."""
    pixels, mask, background = len(detector.q), detector.mask, detector.background
    if {len(detector.corr), len(mask), pixels if background is None else len(background)} != {
        pixels
    }:
        return f"q, corr, mask and background do not describe the same {pixels} pixels"
    if not (0 < detector.detd < _FARTHEST and 0 < detector.ewald_rad < _FARTHEST):
        return (
            f"detd is {detector.detd}, ewald_rad {detector.ewald_rad}; both must be positive, and "
            f"below {_FARTHEST:g} pixels"
        )
    good = ~detector.bad
    if not good.any():
        return "every pixel is masked"
    out = detector.q[good] / detector.ewald_rad
    out[:, 2] = np.where(out[:, 2] > 0, -out[:, 2], out[:, 2]) + 1  # of the older convention too
    away = np.abs(np.linalg.norm(out, axis=1) - 1)
    if not (away < _OFF_SPHERE).all() or not (out[:, 2] > 0).all():
        return (
            f"q leaves the Ewald sphere of radius ewald_rad = {detector.ewald_rad:g}, by up to "
            f"{away.max():.3g} of it, or points upstream"
        )
    corr = detector.corr[good]
    if not (np.isfinite(corr) & (corr > 0)).all():
        return f"corr goes down to {corr.min():.4g} and up to {corr.max():.4g}; it must be positive"
    if background is not None:
        background = background[good]
        if not (np.isfinite(background) & (background >= 0)).all():
            return f"background goes down to {background.min():.4g}; photons are 0 or more"
    return ""


def _whole_mask(values: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "P"]:
    """Return a mask as integers; raises :class:`ValueError` if it has others."""
    values = np.asarray(values).ravel()
    if values.dtype.kind not in "biuf":
        raise ValueError(f"a mask of type {values.dtype}")
    if not ((values >= 0) & (values == np.rint(values))).all():
        raise ValueError(f"mask values from {values.min()} to {values.max()}, not all whole")
    return np.minimum(values, 255).astype(np.uint8)


def _read_h5(path: Path) -> DragonflyDetector:
    with h5py.File(path, "r") as file:
        q = np.stack([read_whole(file[name]).ravel() for name in ("qx", "qy", "qz")], -1)
        background = hdf5.member(file, "background")
        background = None if background is None else read_whole(background).ravel()
        return DragonflyDetector(
            q=q.astype(float),
            corr=read_whole(file["corr"]).ravel().astype(float),
            mask=_whole_mask(read_whole(file["mask"])),
            detd=float(read_whole(file["detd"]).item()),
            ewald_rad=float(read_whole(file["ewald_rad"]).item()),
            background=None if background is None else background.astype(float),
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
        mask=_whole_mask(table[:, 4]),
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
    q, bad = detector.q / detector.ewald_rad, detector.bad
    if not bad.all() and q[~bad, 2].mean() > 0:
        q = q * np.array([1, 1, -1])
    astray = ~(np.abs(np.linalg.norm(q + np.array([0.0, 0.0, 1.0]), axis=1) - 1) < _OFF_SPHERE)
    astray |= ~(q[:, 2] > -1)
    q = np.where(astray[:, None], 0.0, q)  # of bad pixels only
    direction = q + np.array([0.0, 0.0, 1.0])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    solid_angle = direction[:, 2] ** 3 / detector.detd**2  # d/ρ³ with ρ = d/cos 2θ
    name, factor = _polarisation(direction, detector.corr / solid_angle, ~bad)
    return Known(
        pixels=len(q),
        shape=grid_shape(direction[:, :2] / direction[:, 2:] * detector.detd),
        polarisation=name,
        distance_pixels=detector.detd,
        direction=direction,
        solid_angle_sr=solid_angle,
        polarisation_factor=factor,
        mask=bad,
        background=None if detector.background is None else _or(detector.background, 0.0),
    )


def _polarisation(
    direction: Float64[np.ndarray, "P 3"],
    ratio: Float64[np.ndarray, "P"],
    good: Bool[np.ndarray, "P"],
) -> tuple[str | None, Float64[np.ndarray, "P"]]:
    """Return which polarisation explains corr/ΔΩ up to a constant, and the factor."""
    for name in POLARISATIONS:
        factor = polarisation_factor(direction, name)
        there = ratio[good] / factor[good]
        if np.abs(there / np.median(there) - 1).max(initial=0.0) < 1e-4:
            return name, factor
    ratio = _or(ratio, float(np.median(ratio[good])))
    return None, ratio / ratio.max()


def _or(values: Float64[np.ndarray, "P"], other: float) -> Float64[np.ndarray, "P"]:
    """Return values, with ``other`` where a bad pixel has none that is finite and not negative."""
    return np.where(np.isfinite(values) & (values >= 0), values, other)


def grid_shape(step: Float[np.ndarray, "P 2"]) -> tuple[int, int] | None:
    """Return (slow, fast) if ``step``, in pixels, is a regular grid in file order."""
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
