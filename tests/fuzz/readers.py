"""The readers, each with its sample, the damage that is done to it, and what it promises."""

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from baselines.emc import checkpoint as emc_checkpoint
from baselines.emc.config import EmcConfig
from baselines.phasing.config import PhasingConfig
from benchmarks import record
from benchmarks.slices import Slices
from tests.fuzz.damage import BYTES, TEXT, Damage
from tests.fuzz.damage_containers import hdf5, inside_gzip, inside_json, inside_zip
from tests.fuzz.samples import COLUMNS, ROWS, unpacked
from xrai.config import TrainConfig
from xrai.panels import METHODS
from xrai.sources import messages
from xraisim.checks.validate import validate
from xraisim.commands import options
from xraisim.core import config
from xraisim.core.errors import reading
from xraisim.core.types import Photons, Pixels, Volume
from xraisim.files import growing
from xraisim.files.pattern_file import PatternFile
from xraisim.files.patterns import PatternReader
from xraisim.files.truth import read_truth
from xraisim.files.volumes import read_attributes, read_exposure, read_volume
from xraisim.formats import open_source
from xraisim.formats.dragonfly_detector import known, read_detector
from xraisim.inspection.image import read_assembly
from xraisim.instrument.background import Background, mean_photons
from xraisim.instrument.beam import Beam
from xraisim.instrument.crystfel import read_geometry
from xraisim.instrument.detector import Detector, geometry
from xraisim.report.page import read as read_page
from xraisim.report.run import read_run
from xraisim.sample import structure
from xraisim.sample.structure import read_atoms
from xraisim.sample.structure_file import count_models

Read = Callable[[Path], None]
_BLOCK = 4


@dataclass(frozen=True, kw_only=True)
class Reader:
    """``read`` reads the damaged file ``sample`` and asserts what its value must hold."""

    sample: str
    read: Read
    damages: tuple[Damage, ...]


def _promise(kept: bool, what: str) -> None:
    if not kept:
        raise AssertionError(what)


def check_photons(photons: Photons, pixels: int) -> None:
    """Assert what every block of patterns holds, so that loops may index with it."""
    ends = int(photons.offsets[0]), int(photons.offsets[-1])
    _promise(ends == (0, len(photons.pixel)), f"offsets over {ends}")
    _promise(bool((np.diff(photons.offsets) >= 0).all()), "offsets fall")
    _promise(len(photons.pixel) == len(photons.count), "as many counts as pixels")
    if len(photons.pixel):
        _promise(0 <= photons.pixel.min() <= photons.pixel.max() < pixels, "a pixel outside")
        _promise(photons.count.min() >= 1, f"a count of {photons.count.min()}")


def check_pixels(pixels: Pixels) -> None:
    """Assert what is known of every usable pixel."""
    for name in ("s", "gain", "background"):
        _promise(bool(torch.isfinite(getattr(pixels, name)).all()), f"{name} is not finite")
    _promise(pixels.s.shape == (len(pixels.gain), 3), f"s of shape {tuple(pixels.s.shape)}")
    _promise(bool((pixels.gain > 0).all()), "a gain that is not positive")
    _promise(bool((pixels.background >= 0).all()), "a negative background")


def check_volume(volume: Volume) -> None:
    """Assert what every volume is."""
    _promise(len(set(volume.values.shape)) == 1, f"shape {tuple(volume.values.shape)}")
    _promise(bool(torch.isfinite(volume.values).all()), "values that are not finite")
    _promise(0 < volume.spacing < math.inf, f"spacing {volume.spacing}")


@patch.object(structure, "_CENTRE_STEPS", 10)  # each step is the same, with whatever was read
def _structure(path: Path) -> None:
    count_models(path)
    for assembly in ("", "1"):
        atoms = read_atoms(path, assembly=assembly)
        _promise(len(atoms) > 0, "no atoms")
        _promise(bool(np.isfinite(atoms.positions).all()), "a position that is not finite")
        _promise(bool((atoms.elements > 0).all()), "an unknown element")
        _promise(bool((atoms.occupancy > 0).all() & (atoms.b_iso >= 0).all()), "occupancy or B")


def _patterns(path: Path) -> None:
    with PatternReader(path) as reader:
        check_pixels(reader.pixels)
        for start in range(0, reader.n_patterns, _BLOCK):
            stop = min(start + _BLOCK, reader.n_patterns)
            check_photons(reader.read_raw(start, stop), int(np.prod(reader.detector_shape)))
            check_photons(reader.read(start, stop), len(reader.pixels))


def _growing(path: Path) -> None:
    with patch.object(growing, "_MOST_ATTEMPTS", 8):  # nothing writes: there is nothing to wait for
        file = PatternFile(path)
    try:
        file.refresh()
        check_photons(file.read(0, file.n_patterns), int(np.prod(file.shape)))
    finally:
        file.close()


def _shards(path: Path) -> None:
    _patterns(path.with_name("s.h5"))


def _validate(path: Path) -> None:
    findings = validate(path)
    _promise(bool(findings), "no finding")
    read_assembly(path)


def _truth(path: Path) -> None:
    truth = read_truth(path)
    patterns = len(truth.fluence)
    _promise(len(truth.particles.offsets) == patterns + 1, "offsets for other patterns")
    _promise(truth.orientations.shape == (patterns, 4), "orientations for other patterns")


def _source(path: Path) -> None:
    with open_source(path) as source:
        step = max(_BLOCK, source.patterns // 8)  # a huge file has huge blocks, or is refused
        for start in range(0, source.patterns, step):
            stop = min(start + step, source.patterns)
            photons = source.read(start, stop)
            _promise(len(photons) == stop - start, f"{len(photons)} of {stop - start} patterns")
            check_photons(photons, source.known.pixels)
        if source.known.mask is not None:
            _promise(len(source.known.mask) == source.known.pixels, "a mask for other pixels")


def _detector(path: Path) -> None:
    found = known(read_detector(path))
    _promise(bool(np.isfinite(found.direction).all()), "a direction that is not finite")


def _volume(path: Path) -> None:
    check_volume(read_volume(path))
    if path.suffix == ".h5":
        read_exposure(path)
        read_attributes(path)


def _geom(path: Path) -> None:
    layout = read_geometry(path, 120.0)
    _promise(len(layout.bad) == sum(p.rows * p.columns for p in layout.panels), "bad pixels")


def _mask(path: Path) -> None:
    chosen = Detector(rows=ROWS, columns=COLUMNS, pixel_size_mm=9.0, mask_file=str(path))
    geometry(chosen, Beam())


_FLAT = geometry(Detector(rows=ROWS, columns=COLUMNS, pixel_size_mm=9.0), Beam())


def _profile(path: Path) -> None:
    mean = mean_photons(Background(kind="profile", file=str(path)), _FLAT)
    _promise(bool(np.isfinite(mean).all() & (mean >= 0).all()), "a background below zero")


def _settings(path: Path) -> None:
    options.settings(path, {}, None)


def _toml(cls: type) -> Read:
    return lambda path: (config.load(cls, path), None)[1]


def _run(path: Path) -> None:
    run = read_page(path.parent, METHODS)
    for name in ("loglik_per_pattern", "outliers"):
        run.column(name)
    for volume in (*run.volumes.values(), *(run.halves or ())):
        check_volume(volume)
    predictor = run.predictor(len(run.poses.get("fluence", ())))
    if predictor is not None:
        posed = predictor.orientations[np.isfinite(predictor.orientations).all(1)]
        _promise(posed.shape[1:] == (4,), "orientations")
        _promise(bool((np.abs(np.linalg.norm(posed, axis=1) - 1) < 0.1).all()), "no rotation")


def _emc_run(path: Path) -> None:
    run = read_run(path.parent)
    run.column("level")


def _emc_checkpoint(path: Path) -> None:
    emc_checkpoint.load(path.parent, "k", torch.device("cpu"))


def _slices(path: Path) -> None:
    found = Slices.load(path)
    _promise(found.density.ndim == 2 and isinstance(found.reach_angstrom, float), "slices")


def _message(path: Path) -> None:
    _, message = messages.decode(unpacked(path.read_bytes()))
    if isinstance(message, messages.Patterns):
        check_photons(message.photons, 2**31)
    elif isinstance(message, messages.Experiment):
        _promise(len(message.s) == math.prod(message.shape), "pixels")


def _header(damage: Damage) -> Damage:
    """Return damage to the header of a message alone, its length put right."""

    def damaged(data: bytes, rng: np.random.Generator) -> bytes:
        size = int.from_bytes(data[:4], "little")
        header = damage(data[4 : 4 + size], rng)
        return len(header).to_bytes(4, "little") + header + data[4 + size :]

    return damaged


def _deep(data: bytes, rng: np.random.Generator) -> bytes:
    """Return JSON that is nested up to 200,000 levels deep."""
    return b"[" * int(10 ** rng.uniform(2, 5.3))


def _unless_whole(act: Callable[[], object]) -> Read:
    return lambda path: None if path.read_bytes() == np.zeros(3).tobytes() else (act(), None)[1]


def _refused_too_late() -> None:
    with reading("x", "file"):
        bytearray(2**45)


_HDF5 = (*BYTES, *[hdf5] * 12)
_TABLES = (*TEXT, *[inside_json] * 9)
_ARCHIVE = (*BYTES, *[inside_zip] * 9)
_MESSAGE = (*BYTES, *[_header(inside_json)] * 9, _header(_deep))

READERS: dict[str, Reader] = {
    "pdb": Reader(sample="a.pdb", read=_structure, damages=TEXT),
    "pdb-gzip": Reader(
        sample="a.pdb.gz", read=_structure, damages=(*BYTES, *(inside_gzip(d) for d in TEXT))
    ),
    "mmcif": Reader(sample="a.cif", read=_structure, damages=TEXT),
    "patterns": Reader(sample="patterns.h5", read=_patterns, damages=_HDF5),
    "validate": Reader(sample="patterns.h5", read=_validate, damages=_HDF5),
    "growing": Reader(sample="growing.h5.partial", read=_growing, damages=_HDF5),
    "shards": Reader(sample="s.shard-2-of-2.h5", read=_shards, damages=_HDF5),
    "truth": Reader(sample="t.truth.h5", read=_truth, damages=_HDF5),
    "volume-hdf5": Reader(sample="volume.h5", read=_volume, damages=_HDF5),
    "volume-mrc": Reader(sample="intensity.mrc", read=_volume, damages=BYTES),
    "cxi": Reader(sample="p.cxi", read=_source, damages=_HDF5),
    "emc": Reader(sample="p.emc", read=_source, damages=BYTES),
    "emc-int": Reader(sample="int.emc", read=_source, damages=BYTES),
    "emc-double": Reader(sample="double.emc", read=_source, damages=BYTES),
    "dragonfly-h5": Reader(sample="dragonfly.h5", read=_source, damages=_HDF5),
    "detector-h5": Reader(sample="detector.h5", read=_detector, damages=_HDF5),
    "detector-dat": Reader(sample="detector.dat", read=_detector, damages=TEXT),
    "skopi": Reader(sample="skopi.h5", read=_source, damages=_HDF5),
    "stack-h5": Reader(sample="stack.h5", read=_source, damages=_HDF5),
    "npy": Reader(sample="p.npy", read=_source, damages=BYTES),
    "npz": Reader(sample="p.npz", read=_source, damages=_ARCHIVE),
    "geom": Reader(sample="panels.geom", read=_geom, damages=TEXT),
    "mask": Reader(sample="mask.npy", read=_mask, damages=BYTES),
    "profile": Reader(sample="profile.txt", read=_profile, damages=TEXT),
    "settings-make": Reader(sample="make.toml", read=_settings, damages=TEXT),
    "settings-train": Reader(sample="train.toml", read=_toml(TrainConfig), damages=TEXT),
    "settings-emc": Reader(sample="emc.toml", read=_toml(EmcConfig), damages=TEXT),
    "settings-phase": Reader(sample="phase.toml", read=_toml(PhasingConfig), damages=TEXT),
    "run-config": Reader(sample="run/config.toml", read=_run, damages=TEXT),
    "run-metrics": Reader(sample="run/metrics.jsonl", read=_run, damages=_TABLES),
    "run-result": Reader(sample="run/result.json", read=_run, damages=_TABLES),
    "run-poses": Reader(sample="run/poses.h5", read=_run, damages=_HDF5),
    "run-intensity": Reader(sample="run/intensity.h5", read=_run, damages=_HDF5),
    "run-checkpoint": Reader(sample="unfinished/checkpoint.pt", read=_run, damages=_ARCHIVE),
    "emc-metrics": Reader(sample="emc/metrics.jsonl", read=_emc_run, damages=_TABLES),
    "emc-checkpoint": Reader(
        sample="emc_checkpoint/checkpoint.pt", read=_emc_checkpoint, damages=_ARCHIVE
    ),
    "record": Reader(
        sample="record.json", read=lambda path: (record.read(path), None)[1], damages=_TABLES
    ),
    "slices": Reader(sample="slices.npz", read=_slices, damages=_ARCHIVE),
    "message-experiment": Reader(sample="experiment.frames", read=_message, damages=_MESSAGE),
    "message-patterns": Reader(sample="patterns.frames", read=_message, damages=_MESSAGE),
    "message-end": Reader(sample="end.frames", read=_message, damages=_MESSAGE),
}

#: what the harness itself is tested with
BROKEN: dict[str, Reader] = {
    f"broken-{name}": Reader(sample="zeros", read=_unless_whole(act), damages=BYTES)
    for name, act in {
        "crash": lambda: ctypes.string_at(0),
        "memory": _refused_too_late,
        "error": lambda: 1 / 0,
        "value": lambda: _promise(False, "a value"),
    }.items()
}
ALL = READERS | BROKEN
