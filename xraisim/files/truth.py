"""The truth file beside a simulated pattern file: what only the scoring may open."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float, Float32, UInt8

from xraisim.core.errors import FormatError, reads
from xraisim.core.json_text import to_json
from xraisim.files.atomic import require_space, whole_file
from xraisim.files.held import read_whole
from xraisim.files.shards import files_of
from xraisim.files.texts import attribute, describe
from xraisim.photons.hits import HIT_NAMES
from xraisim.photons.shots import Particles, Shots

FORMAT, VERSION = "x-rai truth", 3
_READ = (2, 3)
_BEFORE = {"salt": '""', "draw_version": "1"}  # what a file says that does not state them

_SHOT: dict[str, tuple[type, str]] = {
    "fluence": (np.float32, "relative to the mean, summed over the particles hit"),
    "strength": (np.float32, "of the background, relative to its mean"),
    "energy": (np.float32, "mean photon energy of the pulse, relative to the beam's"),
    "hit": (np.uint8, ", ".join(f"{k} {name}" for k, name in enumerate(HIT_NAMES))),
}
_PARTICLE: dict[str, tuple[type, tuple[int, ...], str]] = {
    "model": (np.int32, (), "number of the species, from 0; the one after the last: contaminant"),
    "orientation": (np.float32, (4,), "quaternion w, x, y, z"),
    "fluence": (np.float32, (), "on the particle, relative to the mean"),
    "size": (np.float32, (), "relative to the median of its kind; 1 for atoms"),
}
_COLUMNS: dict[str, tuple[type, tuple[int, ...], str]] = {
    **{f"shots/{name}": (dtype, (), units) for name, (dtype, units) in _SHOT.items()},
    **{f"particles/{name}": column for name, column in _PARTICLE.items()},
    "particles/offsets": (np.int64, (), "particles"),
}
_ABOUT = {"seed": int, "draw_version": int, "species": list, "structures_sha256": dict}
_ABOUT |= {"config": str, "salt": str}
_BYTES = {"shot": 21, "particle": 28}
_CHUNK = 2**14


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What each pattern was made of.

    ``fluence``, ``strength``, ``energy`` and ``hits`` as in :class:`Shots`; ``particles``: those in
    each shot. ``species``: their names.
    ``structures_sha256``: of their files; ``seed``; ``draw_version``: of what drew the photons
    (:class:`Simulator`); ``config``: the whole configuration as TOML; ``salt``: of the pattern
    file's commitment (:mod:`xraisim.files.commitment`).
    ``defect``: each detector pixel's state (:mod:`xraisim.instrument.defects`).
    """

    fluence: Float[np.ndarray, "N"]
    strength: Float[np.ndarray, "N"]
    energy: Float[np.ndarray, "N"]
    hits: UInt8[np.ndarray, "N"]
    particles: Particles
    species: tuple[str, ...]
    seed: int
    draw_version: int
    structures_sha256: dict[str, str]
    config: str
    salt: str
    defect: UInt8[np.ndarray, "P"]

    @cached_property
    def orientations(self) -> Float32[np.ndarray, "N 4"]:
        """The orientation of each shot's first particle; no turn where blank."""
        hit = np.diff(self.particles.offsets) > 0
        out = np.tile(np.array([1, 0, 0, 0], np.float32), (len(hit), 1))
        out[hit] = self.particles.orientation[self.particles.offsets[:-1][hit]]
        return out


def truth_path(patterns: Path | str) -> Path:
    """Return ``<stem>.truth.h5`` beside a pattern file."""
    path = Path(patterns)
    return path.with_name(f"{path.stem}.truth.h5")


def write_truth(
    path: Path | str,
    blocks: Iterable[Shots],
    about: Mapping[str, Any],
    defect: UInt8[np.ndarray, "P"],
) -> None:
    """Write the shots of ``blocks`` to a truth file, whole or not at all.

    ``about``: ``seed``, ``draw_version``, ``species``, ``structures_sha256``, ``config`` and
    ``salt``; they and ``defect`` as in :class:`Truth`.
    """
    path = Path(path)
    with whole_file(path) as partial, h5py.File(partial, "w", libver="v110") as file:
        texts = {name: to_json(value) for name, value in about.items()}
        describe(file, {"format": FORMAT, "version": VERSION, **texts})
        dataset = file.create_dataset("detector/defect", data=defect, compression="gzip")
        describe(dataset, {"units": "0 good, 1 dead, 2 hot, 3 noisy"})
        _create(file)
        for shots in blocks:
            require_space(path, sum(_BYTES.values()) * len(shots.model) + 8 * len(shots))
            _append(file, shots)


def _create(file: h5py.File) -> None:
    for name, (dtype, shape, units) in _COLUMNS.items():
        dataset = file.create_dataset(
            name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(_CHUNK, *shape)
        )
        describe(dataset, {"units": units})
    file["particles/offsets"].resize((1,))


def _append(file: h5py.File, shots: Shots) -> None:
    particles = shots.particles()
    before = len(file["particles/model"])
    columns = {f"shots/{name}": getattr(shots, name) for name in _SHOT}
    columns |= {f"particles/{name}": getattr(particles, name) for name in _PARTICLE}
    columns["particles/offsets"] = before + particles.offsets[1:]
    for name, values in columns.items():
        dataset = file[name]
        start = len(dataset)
        dataset.resize(start + len(values), axis=0)
        dataset[start:] = values


def read_truth(path: Path | str) -> Truth:
    """Read a truth file, or all shards of it; raises :class:`FormatError` if it is not one."""
    path = Path(path)
    files = files_of(path, ".truth")
    if not files:
        raise FormatError(f"{path}: no such truth file")
    truths = [_read(file) for file in files]
    return truths[0] if len(truths) == 1 else _joined(truths)


@reads("truth file", "make the data set again")
def salt_of(path: Path) -> str:
    """Return the salt in a truth file; empty where it has none."""
    with h5py.File(path, "r") as file:
        return str(json.loads(attribute(file, "salt", _BEFORE["salt"])))


@reads("truth file", "make the data set again")
def _read(path: Path) -> Truth:
    with h5py.File(path, "r") as file:
        found = attribute(file, "format"), attribute(file, "version")
        if found[0] != FORMAT or found[1] not in _READ:
            raise FormatError(
                f"{path}: found {found}, expected {FORMAT!r}, version {VERSION}; make the data "
                "set again"
            )
        columns = {name: read_whole(file[name]) for name in _COLUMNS}
        texts = {name: attribute(file, name, _BEFORE.get(name)) for name in _ABOUT}
        about = {name: json.loads(text) for name, text in texts.items()}
        defect = read_whole(file["detector/defect"])
    _check(path, columns, about, defect)
    about["species"] = tuple(about["species"])
    shots: dict[str, Any] = {name: columns[f"shots/{name}"] for name in _SHOT}
    particles = {name: columns[f"particles/{name}"] for name in ("offsets", *_PARTICLE)}
    return Truth(
        hits=shots.pop("hit"), **shots, particles=Particles(**particles), defect=defect, **about
    )


def _check(
    path: Path, columns: Mapping[str, np.ndarray], about: Mapping[str, Any], defect: np.ndarray
) -> None:
    """Raise :class:`FormatError` for what no writer wrote, or does not belong together."""
    offsets = columns["particles/offsets"]
    if offsets.ndim != 1 or not len(offsets) or offsets.dtype.kind != "i":
        raise FormatError(f"{path}: particles/offsets are no row of whole numbers")
    if offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise FormatError(f"{path}: particles/offsets do not rise from 0")
    length = {"shots": len(offsets) - 1, "particles": int(offsets[-1])}
    for name, (dtype, inner, _) in _COLUMNS.items():
        values, expected = columns[name], (length[name.partition("/")[0]], *inner)
        if values is not offsets and values.shape != expected:
            raise FormatError(f"{path}: {name} has shape {values.shape}; expected {expected}")
        if values.dtype.kind != np.dtype(dtype).kind or not np.isfinite(values).all():
            raise FormatError(f"{path}: {name} are no finite numbers of type {dtype.__name__}")
    if defect.ndim != 1 or defect.dtype.kind != "u":
        raise FormatError(f"{path}: detector/defect are no states of pixels")
    for name, kind in _ABOUT.items():
        if not isinstance(about[name], kind):
            raise FormatError(f"{path}: {name} is {about[name]!r:.60}; expected a {kind.__name__}")


def _joined(truths: list[Truth]) -> Truth:
    first, particles = truths[0], [truth.particles for truth in truths]
    ends = np.cumsum([0, *(len(part.model) for part in particles)])
    offsets = [part.offsets[1:] + end for part, end in zip(particles, ends, strict=False)]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(truth, name) for truth in truths])
        for name in ("fluence", "strength", "energy", "hits")
    }
    joined = {
        name: np.concatenate([getattr(part, name) for part in particles]) for name in _PARTICLE
    }
    start = np.zeros(1, np.int64)
    columns["particles"] = Particles(offsets=np.concatenate([start, *offsets]), **joined)
    return dataclasses.replace(first, **columns)
