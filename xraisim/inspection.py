"""A look at a pattern file: its figures, and one picture."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xraisim.atomic import whole_file
from xraisim.core.types import Photons
from xraisim.patterns import PatternReader

_SAMPLE_PATTERNS = 2000
_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What ``xrai-sim inspect`` prints; photon statistics are of the first patterns of the file."""

    path: str
    patterns: int
    detector_shape: tuple[int, int]
    usable_pixels: int
    photon_energy_ev: float
    fluence_photons_per_um2: float
    particle_diameter_angstrom: float
    resolution_angstrom: tuple[float, float]
    photons_per_pattern_mean: float
    photons_per_pattern_std: float
    brightest_pixel_photons: int
    bytes_per_photon: float
    structure: str


def inspect(path: Path | str, picture: Path | str | None = None) -> Inspection:
    """Return the figures of a pattern file and, if asked, write a picture (PNG).

    Raises :class:`FormatError` if the file is not a whole pattern file.
    """
    path = Path(path)
    with PatternReader(path) as reader:
        block = reader.read_raw(0, min(_SAMPLE_PATTERNS, reader.n_patterns))
        figures = _figures(path, reader, block)
        if picture is not None:
            _write_picture(Path(picture), reader, block)
    return figures


def _figures(path: Path, reader: PatternReader, block: Photons) -> Inspection:
    totals = block.totals()
    photons = totals.mean() * reader.n_patterns
    radius = reader.pixels.radius
    outer, inner = float(radius[-1]), float(radius[0])
    return Inspection(
        path=str(path),
        patterns=reader.n_patterns,
        detector_shape=reader.detector_shape,
        usable_pixels=len(reader.pixels),
        photon_energy_ev=reader.info["photon_energy_ev"],
        fluence_photons_per_um2=reader.info["fluence_photons_per_um2"],
        particle_diameter_angstrom=reader.info["particle_diameter_angstrom"],
        resolution_angstrom=(1 / inner if inner > 0 else float("inf"), 1 / outer),
        photons_per_pattern_mean=float(totals.mean()),
        photons_per_pattern_std=float(totals.std()),
        brightest_pixel_photons=_brightest(block),
        bytes_per_photon=path.stat().st_size / max(float(photons), 1.0),
        structure=str(reader.info["provenance"].get("structure", "")),
    )


def _brightest(block: Photons) -> int:
    """Return the most photons of any pixel; a large count is stored in several entries."""
    pixel = np.stack([block.rows(), block.pixel])
    first = np.flatnonzero(np.append(True, (np.diff(pixel) != 0).any(0)))
    return int(np.add.reduceat(block.count, first).max()) if len(block.pixel) else 0


def _write_picture(path: Path, reader: PatternReader, block: Photons) -> None:
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    axes = figure.subplots(3, 4)
    size = int(np.prod(reader.detector_shape))
    masked = np.ones(size, bool)
    masked[reader.pixels.index.numpy()] = False
    for number, axis in enumerate(axes[:2].flat[:_SHOWN]):
        if number < len(block):
            image = _image(block.take(np.array([number])), size)
            _show(axis, image, masked, reader.detector_shape, f"pattern {number}")
    mean = _image(block, size) / max(len(block), 1)
    _show(axes[1, 2], mean, masked, reader.detector_shape, f"mean of {len(block)}")
    axes[1, 3].hist(block.totals(), bins=40, color="0.4")
    axes[1, 3].set(xlabel="photons per pattern", ylabel="patterns", yticks=[])
    for axis in axes[2]:
        axis.remove()
    _radial(figure.add_subplot(axes[2, 0].get_gridspec()[2, :]), mean, reader)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


def _image(block: Photons, size: int) -> np.ndarray:
    return np.bincount(block.pixel, block.count, minlength=size)


def _show(
    axis: Axes, image: np.ndarray, masked: np.ndarray, shape: tuple[int, int], title: str
) -> None:
    values = np.ma.masked_array(image, masked).reshape(shape)
    top = max(float(values.max()), 1e-3)
    norm = matplotlib.colors.SymLogNorm(linthresh=max(1e-3 * top, 1e-6), vmin=0, vmax=top)
    axis.imshow(values, norm=norm, origin="lower", cmap="magma", interpolation="nearest")
    axis.set(title=title, xticks=[], yticks=[], facecolor="0.85")


def _radial(axis: Axes, mean: np.ndarray, reader: PatternReader) -> None:
    radius = reader.pixels.radius.numpy()
    bins = np.linspace(0, radius.max() * 1.0001, 65)
    shell = np.digitize(radius, bins) - 1
    pixels = np.bincount(shell, minlength=64)[:64]
    photons = np.bincount(shell, mean[reader.pixels.index.numpy()], minlength=64)[:64]
    filled = (pixels > 0) & (photons > 0)
    centres = ((bins[1:] + bins[:-1]) / 2)[filled]
    axis.semilogy(centres, (photons[filled] / pixels[filled]), color="0.2")
    axis.set(xlabel="s = 1/d (1/Å)", ylabel="photons per pixel", xlim=(0, bins[-1]))
    ticks = [t for t in axis.get_xticks() if 0 < t <= bins[-1]]
    above = axis.twiny()
    above.set(xlim=axis.get_xlim(), xticks=ticks, xticklabels=[f"{1 / t:.3g}" for t in ticks])
    above.set_xlabel("resolution d (Å)")
