"""``poses.h5``: what a method found of every pattern, as columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Num, Shaped

from xraisim.core.errors import FormatError, reading
from xraisim.files.atomic import require_space, whole_file
from xraisim.files.held import read_whole
from xraisim.files.texts import attribute, describe

FORMAT, VERSION = "x-rai poses", 2
CONVENTION = "pattern(s) = V(R(q)^T s), q = (w, x, y, z), active rotation from particle to lab"
_FORMER_NAMES = {"likelihood": "loglik"}  # of version 1
_UNIT = 1e-2  # how far from 1 the length of a quaternion may be


@dataclass(frozen=True)
class Column:
    """What a column holds, one value or ``width`` of them per pattern."""

    meaning: str
    unit: str = "1"
    width: int = 1


COLUMNS = {
    "orientations": Column("unit quaternion (w, x, y, z); NaN: none", width=4),
    "encoder_orientations": Column("as the encoder alone says; NaN: it does not", width=4),
    "fluence": Column("of the shot, relative to the mean of all; 0 without photons"),
    "loglik": Column("log-likelihood at the pose, up to what depends on the photons alone", "nat"),
    "error_deg": Column("standard error of the pose", "degree"),
    "weight": Column("in the merge, 0 to 1"),
    "half": Column("number of the half-set, 1 or 2; 0: of none"),
    "mate_margin": Column("log-likelihood over that of the near-symmetric pose", "nat"),
    "turned_deg": Column("by the last round", "degree"),
    "misfit": Column("of the photons to the volume", "standard deviation"),
    "unexplained": Column("share of the variation that the volume leaves"),
    "probability": Column("of the pose, as the encoder says"),
    "occupancy": Column("probability of the best orientation"),
    "mutual_information": Column("between pattern and orientation", "nat"),
    "evidence": Column("log of the mean likelihood over orientations", "nat"),
    "class_id": Column("number of the volume intensity_<n>, from 1"),
    "class_probability": Column("of the class"),
}


def write_poses(
    path: Path, columns: Mapping[str, Shaped[np.ndarray, "N *width"]], patterns: str = ""
) -> None:
    """Write columns over patterns, whole or not at all; ``patterns``: the file they are of.

    Raises :class:`FormatError` without ``orientations``, for columns of different lengths, and for
    orientations that are neither unit quaternions nor NaN; :class:`DiskError` where it cannot
    write.
    """
    if "orientations" not in columns:
        raise FormatError(f"{path}: found {', '.join(columns)}; poses need orientations")
    check_columns(path, columns)
    with whole_file(path) as partial:
        require_space(path, sum(values.nbytes for values in columns.values()))
        with h5py.File(partial, "w") as file:
            describe(file, {"format": FORMAT, "version": VERSION, "convention": CONVENTION})
            if patterns:
                describe(file, {"patterns": patterns})
            for name, values in columns.items():
                file[name] = values
                known = COLUMNS.get(name, Column(""))
                describe(file[name], {"units": known.unit, "meaning": known.meaning})


def read_poses(path: Path) -> dict[str, Shaped[np.ndarray, "N *width"]]:
    """Return the columns of numbers over patterns, none if there is no file.

    Version 1 stated none. Raises :class:`FormatError` for a damaged file or one of another version,
    for columns of different lengths, and for orientations that are neither unit quaternions nor
    NaN.
    """
    if not path.exists():
        return {}
    with reading(path, "file of poses"), h5py.File(path, "r") as file:
        _check_version(path, file)
        # A name that is no text (damage) comes as bytes: no column of ours.
        named = {name: item for name, item in file.items() if isinstance(name, str)}
        data = {name: item for name, item in named.items() if isinstance(item, h5py.Dataset)}
        numbers = {name: item for name, item in data.items() if item.dtype.kind in "biuf"}
        found = {
            _FORMER_NAMES.get(name, name): read_whole(item)
            for name, item in numbers.items()
            if item.ndim
        }
    check_columns(path, found)
    return found


def stated_photons(path: Path) -> str:
    """Return the hash of the photons that were posed, empty where a file does not state it.

    It is :func:`xraisim.core.fingerprint.photons_sha256`, as ``data.json`` of a task's data has it.
    """
    with reading(path, "file of poses"), h5py.File(path, "r") as file:
        return str(attribute(file, "photons_sha256", ""))


def _check_version(path: Path, file: h5py.File) -> None:
    version = attribute(file, "version", VERSION)
    if version != VERSION:
        raise FormatError(
            f"{path} is of version {version}; expected {FORMAT!r}, version {VERSION}: use the "
            "program that wrote it"
        )


def check_columns(path: Path, columns: Mapping[str, Shaped[np.ndarray, "N *width"]]) -> None:
    """Raise :class:`FormatError` for columns of poses that do not fit together or cannot be."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise FormatError(f"{path} holds columns of different lengths: {lengths}")
    for name, values in columns.items():
        known = COLUMNS.get(name)
        if known is None:
            continue
        shape = (len(values),) if known.width == 1 else (len(values), known.width)
        if values.shape != shape:
            raise FormatError(f"{path} holds {name} of shape {values.shape}; expected {shape}")
        if known.width == 4:
            _check_quaternions(path, name, values)


def _check_quaternions(path: Path, name: str, values: Num[np.ndarray, "N 4"]) -> None:
    norm = np.linalg.norm(values.astype(float), axis=1)
    wrong = int((np.isinf(norm) | (np.abs(norm - 1) > _UNIT)).sum())
    if wrong:
        raise FormatError(f"{path}: {wrong} of the {name} are no unit quaternions")
