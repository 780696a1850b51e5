"""What a CXI file says of source and detector: everything that the format defines for it.

Where pixels are comes from the first of: ``xyz_map`` [3, *image], by custom; ``corner_position``
([3] or [modules, 3], the outer corner of the first pixel) and ``basis_vectors`` ([2, 3] or
[modules, 2, 3]: from row to row, then from column to column), by default (0, −height, 0) and
(−width, 0, 0); ``geometry_1``, ``translation`` and ``orientation`` of the detector's middle. SI
units, unless an attribute ``units`` names others (CXI 1.6, Maia, Nature Methods 9:854, 2012).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Float64

from xraisim.core.errors import FormatError
from xraisim.core.units import HC_EV_ANGSTROM
from xraisim.files.texts import attribute
from xraisim.formats import hdf5
from xraisim.instrument.panels import Layout, Panel
from xraisim.instrument.ranges import PHOTON_ENERGY, PIXEL_SIZE

_SPREAD = 1e-3  # relative; what varies less from image to image is one value


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a detector is, as far as its group says; mm, with the ``units`` they were read in.

    ``position`` [P, 3] and ``solid_angle`` [P] of all pixels.
    """

    distance: float | None = None
    width: float | None = None
    height: float | None = None
    position: Float64[np.ndarray, "P 3"] | None = None
    solid_angle: Float64[np.ndarray, "P"] | None = None
    units: dict[str, str]

    def agrees(self, other: "Placement") -> bool:
        """Return whether nothing that both say differs."""
        pairs = (
            (getattr(self, name), getattr(other, name))
            for name in ("distance", "width", "height", "position")
        )
        return all(
            a is None or b is None or np.allclose(a, b, rtol=_SPREAD, equal_nan=True)
            for a, b in pairs
        )


def read_placement(
    detector: h5py.Group | None, pattern: tuple[int, ...], notices: list[str]
) -> Placement:
    """Return where the pixels of a detector with images of shape ``pattern`` are."""
    if detector is None:
        return Placement(units={})
    scalars, units = {}, {}
    for key, name, ours in (
        ("distance", "distance", "distance_mm"),
        ("width", "x_pixel_size", "pixel_size_mm"),
        ("height", "y_pixel_size", "pixel_height_mm"),
    ):
        scalars[key], units[ours] = _scalar(detector, name, notices)
    position = solid_angle = None
    layout = _layout(detector, scalars, pattern, notices)
    if layout is not None:
        position, units["position_mm"] = layout.positions_mm(), "m"
        position = _downstream(position, scalars["distance"], "corner_position", notices)
        solid_angle = layout.solid_angles(position)
    if (places := hdf5.member(detector, "xyz_map")) is not None:
        by_map, units["position_mm"] = _positions(places, pattern)
        if position is not None and not np.allclose(
            by_map[:, :2], position[:, :2], atol=scalars["width"] or 0.1, equal_nan=True
        ):
            notices.append("xyz_map and corner_position differ; xyz_map is used")
        position = _downstream(by_map, scalars["distance"], "xyz_map", notices)
        solid_angle = _oblong(position, scalars["width"], scalars["height"])
    return Placement(**scalars, position=position, solid_angle=solid_angle, units=units)


def read_energy(entry: h5py.Group) -> tuple[Float64[np.ndarray, "_"], str]:
    """Return the photon energies of an entry's images in eV, and their unit.

    None are there if the entry does not say.
    """
    for name in ("source_1/energy", "monochromator_1/energy", "beam_1/incident_energy"):
        found = hdf5.member(entry, f"instrument_1/{name}")
        if found is not None:
            values, unit = _values(found, PHOTON_ENERGY.units, "J")
            return values.ravel(), unit
    found = hdf5.member(entry, "instrument_1/beam_1/incident_wavelength")
    if found is not None:
        values, unit = _values(found, {"m": 1e10, "Å": 1.0, "A": 1.0, "nm": 10.0}, "m")
        with np.errstate(divide="ignore"):
            return HC_EV_ANGSTROM / values.ravel(), "eV"
    return np.zeros(0), "J"


def one_value(
    what: str, values: Float64[np.ndarray, "n"], unit: str, notices: list[str]
) -> float | None:
    """Return the mean of what may vary from image to image, with a notice if it does."""
    if not len(values):
        return None
    given = np.isfinite(values) & (values > 0)
    if not given.any():
        return float(values[0])  # which is refused, unless another is given by hand
    if not given.all():
        notices.append(f"{what} is missing of {int((~given).sum())} of {len(values)} images")
    low, high, mean = values[given].min(), values[given].max(), float(values[given].mean())
    if high - low > _SPREAD * mean:
        notices.append(
            f"{what} varies from {low:.6g} to {high:.6g} {unit} from image to image; its mean of "
            f"{mean:.6g} is taken for all"
        )
    return mean


def _values(
    dataset: h5py.Dataset, known: Mapping[str, float], si: str
) -> tuple[Float64[np.ndarray, "..."], str]:
    """Return a data set in our unit, and the unit that it is in."""
    unit = str(attribute(dataset, "units", si))
    unit = {"um": "µm", "meter": "m", "joule": "J"}.get(unit, unit)
    values = hdf5.whole(dataset)
    if unit not in known or values.dtype.kind not in "iuf":
        raise FormatError(
            f"{hdf5.where(dataset)} is of type {values.dtype} and in {unit!r}; expected numbers in "
            f"one of {', '.join(known)}"
        )
    return np.asarray(values.astype(float) * known[unit]), unit


def _scalar(detector: h5py.Group, name: str, notices: list[str]) -> tuple[float | None, str]:
    found = hdf5.member(detector, name)
    if found is None:
        return None, "m"
    values, unit = _values(found, PIXEL_SIZE.units, "m")
    return one_value(name, values.ravel(), "mm", notices), unit


def _positions(
    places: h5py.Dataset, pattern: tuple[int, ...]
) -> tuple[Float64[np.ndarray, "P 3"], str]:
    values, unit = _values(places, PIXEL_SIZE.units, "m")
    if values.shape != (3, *pattern):
        raise FormatError(
            f"{hdf5.where(places)} has shape {values.shape}; expected 3 × the image, "
            f"{(3, *pattern)}"
        )
    return values.reshape(3, -1).T, unit


def _downstream(
    position: Float64[np.ndarray, "P 3"], distance: float | None, what: str, notices: list[str]
) -> Float64[np.ndarray, "P 3"]:
    """Return positions whose z counts from the particle; some writers count from the detector."""
    if distance is None or not distance > 0 or not np.isfinite(position).any():
        return position
    middle = float(np.nanmedian(position[:, 2]))
    if abs(middle) < 0.05 * distance:
        notices.append(f"{what} counts z from the detector; the distance was added to it")
        return position + np.array([0.0, 0.0, distance])
    if abs(middle - distance) > 0.05 * distance:
        notices.append(
            f"{what} puts the detector at {middle:.5g} mm, distance at {distance:.5g} mm; the "
            "former is used"
        )
    return position


def _oblong(
    position: Float64[np.ndarray, "P 3"], width: float | None, height: float | None
) -> Float64[np.ndarray, "P"] | None:
    """Return the solid angles of pixels facing the beam that are not square, sr; else None."""
    if width is None or height is None or width == height:
        return None
    if PIXEL_SIZE.problem(width) or PIXEL_SIZE.problem(height):
        return None  # what is said by hand counts, or the file is refused
    rho = np.linalg.norm(position, axis=1)
    return np.asarray(width * height * position[:, 2] / rho**3)


def _layout(
    detector: h5py.Group,
    scalars: dict[str, float | None],
    pattern: tuple[int, ...],
    notices: list[str],
) -> Layout | None:
    modules = math.prod(pattern[:-2])
    corner = _vectors(detector, "corner_position", (modules, 3))
    basis = _vectors(detector, "basis_vectors", (modules, 2, 3))
    group = hdf5.member(detector, "geometry_1")
    if corner is None and basis is None and group is None:
        return None
    turn, middle = np.eye(3)[:2], None
    if group is not None and corner is None:
        turn, middle = _turn(group), _vectors(group, "translation", (1, 3))
    elif group is not None:
        notices.append(f"{group.name} is not used: corner_position says where the detector is")
    if basis is None:
        basis = _default_basis(scalars, modules, turn)
    if basis is not None and corner is None and modules == 1:
        corner = _centred(basis, middle, scalars["distance"], pattern)
    if corner is None or basis is None:
        notices.append(
            f"{detector.name}: basis_vectors, geometry_1 or corner_position do not place "
            f"{modules} panels without the other, or a pixel size; they are not used"
        )
        return None
    panels = tuple(
        Panel(
            name=f"{detector.name}, module {number}",
            rows=pattern[-2],
            columns=pattern[-1],
            corner_mm=tuple(corner[number]),
            ss_mm=tuple(basis[number, 0]),
            fs_mm=tuple(basis[number, 1]),
        )
        for number in range(modules)
    )
    return Layout(panels=panels, distance_mm=0.0, bad=np.zeros(math.prod(pattern), bool))


def _vectors(
    group: h5py.Group, name: str, shape: tuple[int, ...]
) -> Float64[np.ndarray, "*shape"] | None:
    """Return vectors in mm, ``shape``; the file may have them for every image, if they agree."""
    found = hdf5.member(group, name)
    if found is None:
        return None
    values, _ = _values(found, PIXEL_SIZE.units, "m")
    size = math.prod(shape)
    if not values.size or values.size % size or values.shape[-1] != 3:
        raise FormatError(
            f"{hdf5.where(found)} has shape {values.shape}; expected {shape}, or {shape[1:]} for "
            "one panel"
        )
    values = values.reshape(-1, *shape)
    if not np.isfinite(values).all() or np.ptp(values, axis=0).max() > 1e-3:
        raise FormatError(
            f"{hdf5.where(found)} is not finite, or moves from image to image; one geometry for "
            "all images is needed: convert images of different geometry apart"
        )
    return np.asarray(values[0])


def _default_basis(
    scalars: dict[str, float | None], modules: int, turn: Float64[np.ndarray, "2 3"]
) -> Float64[np.ndarray, "{modules} 2 3"] | None:
    width = scalars["width"]
    if width is None:
        return None
    height = scalars["height"] or width
    return np.tile([-height * turn[1], -width * turn[0]], (modules, 1, 1))


def _centred(
    basis: Float64[np.ndarray, "1 2 3"],
    middle: Float64[np.ndarray, "1 3"] | None,
    distance: float | None,
    pattern: tuple[int, ...],
) -> Float64[np.ndarray, "1 3"] | None:
    """Return the corner of a panel with its middle there, or on the beam."""
    if middle is None:
        if distance is None:
            return None
        middle = np.array([[0.0, 0.0, distance]])
    extent = pattern[-2] * basis[:, 0] + pattern[-1] * basis[:, 1]
    return np.asarray(middle - extent / 2)


def _turn(group: h5py.Group) -> Float64[np.ndarray, "2 3"]:
    """Return the detector's axes x′ and y′: the dot products with x, y and z."""
    found = hdf5.member(group, "orientation")
    if found is None:
        return np.eye(3)[:2]
    axes = hdf5.whole(found).astype(float).ravel()
    if axes.size != 6 or not np.allclose(
        axes.reshape(2, 3) @ axes.reshape(2, 3).T, np.eye(2), atol=1e-3
    ):
        raise FormatError(
            f"{hdf5.where(found)} is {axes.tolist()[:6]}; expected two unit vectors at right "
            "angles, x′ and y′ of the detector"
        )
    return axes.reshape(2, 3)
