"""Convert pattern files from any format to any other, block by block."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from xraisim.core import config as configuration
from xraisim.core.errors import ConfigError, FormatError
from xraisim.core.types import Photons
from xraisim.files.patterns import PatternReader
from xraisim.files.resume import check_same
from xraisim.files.shards import Shard
from xraisim.formats import dragonfly_detector
from xraisim.formats.base import Source, Target, overlay
from xraisim.formats.experiment import ExperimentConfig, assemble
from xraisim.formats.known import Experiment, Known
from xraisim.formats.registry import (
    DETECTOR,
    FORMATS,
    known_format,
    open_source,
    recognise,
    target_format,
)
from xraisim.sample.locate import sha256

_BLOCK_VALUES, _LARGEST_BLOCK = 2**23, 4096
_DRAGONFLY = ("emc", "emc-int", "emc-double", "dragonfly-h5")

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a conversion did; ``masked_photons`` lay on unused pixels and were left out.

    They are None of a file that was there already.
    """

    path: str
    source_format: str
    target_format: str
    patterns: int
    photons: int
    masked_photons: int | None
    detector_path: str
    notices: tuple[str, ...]


def convert(
    source: Path | str,
    out: Path | str,
    *,
    source_format: str | None = None,
    target: str | None = None,
    config: ExperimentConfig | None = None,
    detector: Path | str | None = None,
    dataset: str | None = None,
    shard: Shard | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Write the patterns of ``source``, or a shard of them, to ``out``; return what was done.

    ``source_format`` and ``target`` are names in :data:`FORMATS`, by default told by the content of
    the one and the name of the other. ``config``: what the file does not know of its experiment.
    ``detector``: a Dragonfly detector file. ``dataset``: where in the file the frames are.
    ``progress`` is called with the number of patterns just written. Memory is bounded by a block.
    Dragonfly formats get a detector file ``<stem>.detector.h5`` beside them if the experiment is
    known. ``resume`` leaves a pattern file that is there as it is, if it was made of the same
    source and settings. Raises the :class:`UserError` family; a file appears whole or not at all.
    """
    source, shard = Path(source), shard or Shard()
    whole, out = Path(out), shard.path(Path(out))
    if source.resolve() in (whole.resolve(), out.resolve()):
        raise FormatError(f"{out}: source and target are the same file; write to another name")
    found = known_format(source_format) if source_format else recognise(source)
    wanted = known_format(target) if target else target_format(out, found)
    config = config or ExperimentConfig()
    if DETECTOR in (found, wanted):
        if shard.total > 1:
            raise FormatError(f"{out}: a detector has no shards; convert it in one process")
        return _convert_detector(source, out, found, wanted, config)
    if found == wanted == "xrai":
        raise FormatError(f"{source} is a pattern file already; choose another format with --to")
    with open_source(source, found, dataset, config.mask_missing_modules) as opened:
        known = opened.known
        if detector is not None:
            known = _with_detector(known, detector)
        experiment = _experiment(known, config, wanted, opened)
        numbers = shard.patterns(opened.patterns)
        job = Target(
            patterns=len(numbers),
            pixels=known.pixels,
            shape=experiment.detector.shape if experiment else known.shape or (1, known.pixels),
            experiment=experiment,
            provenance=_provenance(source, found, config, shard) if wanted == "xrai" else {},
        )
        masked: int | None = None
        if resume and out.exists():
            photons = _photons_of(out, wanted, job)
            opened.notices.append(f"{out} was whole already and stays as it is")
        else:
            photons, masked = _copy(opened, numbers, job, out, wanted, progress)
        return Conversion(
            path=str(out),
            source_format=found,
            target_format=wanted,
            patterns=len(numbers),
            photons=photons,
            masked_photons=masked,
            detector_path=_write_detector(out, wanted, experiment),
            notices=tuple(opened.notices),
        )


def _with_detector(known: Known, path: Path | str) -> Known:
    if known.experiment is not None:
        raise FormatError(f"a pattern file holds its own detector; leave out --detector {path}")
    given = dragonfly_detector.known(dragonfly_detector.read_detector(path))
    if given.pixels != known.pixels:
        raise FormatError(
            f"{path}: {given.pixels} pixels, but the patterns have {known.pixels}; "
            "this detector does not belong to them"
        )
    if None not in (known.shape, given.shape) and known.shape != given.shape:
        raise FormatError(
            f"{path}: a grid of {given.shape} pixels, but the patterns are {known.shape}; one of "
            "them is transposed: turn the frames, or save them as [patterns, pixels]"
        )
    return overlay(known, given)


def _experiment(
    known: Known, config: ExperimentConfig, wanted: str, opened: Source
) -> Experiment | None:
    """Return the experiment, or None where it is neither needed nor known."""
    try:
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("always", UserWarning)
            experiment = assemble(known, config)
    except ConfigError:
        if FORMATS[wanted].needs_experiment or config != ExperimentConfig():
            raise
        opened.notices.append("beam and detector are not known and were not written")
        return None
    opened.notices += [str(remark.message) for remark in remarks]
    if known.experiment is None and "photons_per_pulse" not in config.beam:
        opened.notices.append(
            f"fluence {experiment.beam.fluence_photons_per_um2:.3g} photons/µm² assumed: it sets "
            "the scale of |F|², nothing else ([beam] photons_per_pulse, focus_radius_um)"
        )
    return experiment


def _photons_of(out: Path, wanted: str, job: Target) -> int:
    """Return the photons of a file that is there; raises :class:`UserError` if it is another."""
    if wanted != "xrai":
        raise FormatError(
            f"{out} is there already, and files of this format do not say what they were made of; "
            "remove it, or make it anew: --force instead of --resume"
        )
    with PatternReader(out) as reader:
        check_same(out, reader.info["provenance"], job.provenance)
        starts = range(0, reader.n_patterns, _LARGEST_BLOCK)
        ends = (min(start + _LARGEST_BLOCK, reader.n_patterns) for start in starts)
        blocks = map(reader.read_raw, starts, ends)
        return sum(int(block.count.sum(dtype=np.int64)) for block in blocks)


def _copy(
    opened: Source,
    numbers: range,
    job: Target,
    out: Path,
    wanted: str,
    progress: Progress | None,
) -> tuple[int, int]:
    """Write the patterns ``numbers``; return the photons written and those left out as masked."""
    step = int(np.clip(_BLOCK_VALUES // job.pixels, 1, _LARGEST_BLOCK))
    mask = job.experiment.detector.mask if job.experiment is not None else None
    written = left_out = dark = lit = 0
    with FORMATS[wanted].create(out, job) as append:
        for start in numbers[::step]:
            block = opened.read(start, min(start + step, numbers.stop))
            photons, entries = int(block.count.sum(dtype=np.int64)), len(block.pixel)
            if mask is not None:
                block = _unmasked(block, mask)
            lit, dark = lit + len(block.pixel), dark + entries - len(block.pixel)
            kept = int(block.count.sum(dtype=np.int64))
            append(block)
            written, left_out = written + kept, left_out + photons - kept
            if progress is not None:
                progress(len(block))
    if mask is not None and dark > lit and mask.sum() > len(mask) / 2:
        opened.notices.append(
            f"{int(mask.sum())} of {len(mask)} pixels are masked, and most lit pixels are among "
            "them: is the mask the other way round? (non-zero: not to be used)"
        )
    return written, left_out


def _unmasked(photons: Photons, mask: Bool[np.ndarray, "P"]) -> Photons:
    keep = ~mask[photons.pixel]
    if keep.all():
        return photons
    edges = np.concatenate([[0], np.cumsum(keep)])
    return Photons(
        offsets=edges[photons.offsets], pixel=photons.pixel[keep], count=photons.count[keep]
    )


def _write_detector(out: Path, wanted: str, experiment: Experiment | None) -> str:
    if experiment is None or wanted not in _DRAGONFLY:
        return ""
    path = out.with_name(f"{out.stem}.detector.h5")
    dragonfly_detector.write_detector(path, dragonfly_detector.from_experiment(experiment))
    return str(path)


def _convert_detector(
    source: Path, out: Path, found: str, wanted: str, config: ExperimentConfig
) -> Conversion:
    """Write a detector file from a detector file (.dat and .h5) or from a pattern file."""
    if wanted != DETECTOR:
        raise FormatError(f"{source}: a detector, no patterns; it can become .dat or .h5 only")
    if found == DETECTOR:
        detector = dragonfly_detector.read_detector(source)
    else:
        with open_source(source, found) as opened:
            detector = dragonfly_detector.from_experiment(assemble(opened.known, config))
    dragonfly_detector.write_detector(out, detector)
    lost = detector.background is not None and out.suffix == ".dat"
    return Conversion(
        path=str(out),
        source_format=found,
        target_format=wanted,
        patterns=0,
        photons=0,
        masked_photons=0,
        detector_path=str(out),
        notices=("a .dat detector cannot hold the background",) if lost else (),
    )


def _provenance(source: Path, found: str, config: ExperimentConfig, shard: Shard) -> dict[str, Any]:
    about = {
        "source": source.name,
        "source_format": found,
        "source_sha256": sha256(source),
        "config": configuration.dumps(config),
        "versions": {name: version(name) for name in ("x-rai", "numpy", "h5py")},
    }
    return about if shard.total == 1 else {**about, "shard": f"{shard.index}/{shard.total}"}
