"""Make a data set: structure → intensity → expected photons → pattern file and truth file."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from xraisim.core import config as configuration
from xraisim.files.atomic import whole_file
from xraisim.files.commitment import commitment, salted
from xraisim.files.patterns import PatternReader, PatternWriter
from xraisim.files.resume import check_same, copy_patterns, leftovers, recover, refuse_leftovers
from xraisim.files.shards import Shard
from xraisim.files.truth import truth_path, write_truth
from xraisim.photons.shots import Shots
from xraisim.sample.locate import sha256
from xraisim.simulation.config import SimulationConfig, from_mapping
from xraisim.simulation.simulator import Simulator

_BLOCK = 4096
_PACKAGES = ("x-rai", "numpy", "gemmi", "finufft", "numba", "h5py")

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a simulation made and how fast.

    ``patterns`` in the file, of which ``resumed`` had been made before; ``patterns_per_s``: of
    those made now, the set-up not counted.
    """

    path: str
    truth_path: str
    patterns: int
    resumed: int
    photons_per_pattern: float
    bytes_per_photon: float
    setup_s: float
    patterns_per_s: float
    sha256: str


def simulate(
    config: SimulationConfig | dict[str, Any],
    out: Path | str,
    *,
    structures: Path | str | None = None,
    shard: Shard | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Write ``out``, or a shard of it, and its truth file ``<stem>.truth.h5``.

    ``config``: a configuration, or the mapping that a TOML file of one gives. ``structures`` is a
    directory to look for structures in; ``resume`` goes on with what an
    interrupted run left, if anything; ``progress`` is called with the number of patterns just
    written. Raises the :class:`UserError` family; nothing is left behind under the final names
    unless both files are whole.
    """
    started = time.perf_counter()
    config = config if isinstance(config, SimulationConfig) else from_mapping(config)
    shard, whole = shard or Shard(), Path(out)
    if not resume:
        refuse_leftovers(shard.path(whole))
    simulator = Simulator(config, structures=structures)
    with salted(whole, shard, resume=resume) as salt:
        return _simulated(simulator, whole, shard, salt, resume, progress, started)


def _simulated(
    simulator: Simulator,
    whole: Path,
    shard: Shard,
    salt: str,
    resume: bool,
    progress: Progress | None,
    started: float,
) -> Summary:
    out, mine = shard.path(whole), shard.patterns(simulator.config.patterns)
    provenance = _provenance(simulator, shard, mine, salt)
    about = {**_recipe(simulator), "salt": salt}
    # What is left of an interrupted run may be about to replace what is there.
    if resume and out.exists() and not leftovers(out):
        return _finish(simulator, out, mine, provenance, about, started)
    left = recover(out) if resume else None
    simulator.photons(mine.start, 1)  # compiles the kernels, so that the rate below is the rate
    ready = time.perf_counter()
    writer = PatternWriter(
        out,
        detector=simulator.geometry,
        beam=simulator.config.beam,
        background=simulator.background,
        particle_diameter_angstrom=simulator.diameter_angstrom,
        provenance=provenance,
    )
    # Both get their final names at the end of the block, or neither does.
    with whole_file(truth_path(out)) as truth_file, writer:
        done = copy_patterns(left, writer, provenance) if left else 0
        if progress is not None and done:
            progress(done)
        _draw_and_write(simulator, writer, mine[done:], progress)
        write_truth(truth_file, _shots(simulator, mine), about, simulator.defect)
    if left:
        left.unlink()
    seconds = time.perf_counter() - ready
    rate = (len(mine) - done) / seconds
    return _summary(out, len(mine), done, writer.photons, ready - started, rate)


def _draw_and_write(
    simulator: Simulator, writer: PatternWriter, numbers: range, progress: Progress | None
) -> None:
    """Draw patterns and append them; a block is written while the next one is drawn."""
    with ThreadPoolExecutor(1) as pool:
        writing: Future[None] | None = None
        for block in _blocks(numbers):
            photons = simulator.photons(block.start, len(block))
            if writing is not None:
                writing.result()
            writing = pool.submit(writer.append, photons)
            if progress is not None:
                progress(len(block))
        if writing is not None:
            writing.result()


def _finish(
    simulator: Simulator,
    out: Path,
    mine: range,
    provenance: dict[str, Any],
    about: dict[str, Any],
    started: float,
) -> Summary:
    """Summarise a file that is whole; write its truth if the run was killed just before that."""
    with PatternReader(out) as reader:
        check_same(out, reader.info["provenance"], provenance)
        blocks = (reader.read_raw(block.start, block.stop) for block in _blocks(range(len(mine))))
        photons = sum(int(block.count.sum()) for block in blocks)
    if not truth_path(out).exists():
        shots = _shots(simulator, mine)
        write_truth(truth_path(out), shots, about, simulator.defect)
    return _summary(out, len(mine), len(mine), photons, time.perf_counter() - started, 0.0)


def _summary(
    out: Path, patterns: int, resumed: int, photons: int, setup_s: float, patterns_per_s: float
) -> Summary:
    return Summary(
        path=str(out),
        truth_path=str(truth_path(out)),
        patterns=patterns,
        resumed=resumed,
        photons_per_pattern=photons / max(patterns, 1),
        bytes_per_photon=out.stat().st_size / max(photons, 1),
        setup_s=setup_s,
        patterns_per_s=patterns_per_s,
        sha256=sha256(out),
    )


def _blocks(numbers: range) -> Iterator[range]:
    for start in range(0, len(numbers), _BLOCK):
        yield numbers[start : start + _BLOCK]


def _shots(simulator: Simulator, numbers: range) -> Iterator[Shots]:
    return (simulator.shots(block.start, len(block)) for block in _blocks(numbers))


def _recipe(simulator: Simulator) -> dict[str, Any]:
    """Return what the photons follow from."""
    return {
        "seed": simulator.config.seed,
        "species": simulator.species,
        "structures_sha256": simulator.checksums,
        "config": configuration.dumps(simulator.config),
    }


def _provenance(simulator: Simulator, shard: Shard, mine: range, salt: str) -> dict[str, Any]:
    about = {
        "commitment": commitment(_recipe(simulator), salt),
        "patterns": len(mine),
        "versions": {name: version(name) for name in _PACKAGES},
    }
    return about if shard.total == 1 else {**about, "shard": f"{shard.index}/{shard.total}"}
