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
from xraisim.sample.locate import sha256
from xraisim.simulation.config import SimulationConfig
from xraisim.simulation.forecast import Forecast, forecast
from xraisim.simulation.simulator import Simulator

_BLOCK = 4096
_PACKAGES = ("x-rai", "numpy", "gemmi", "finufft", "numba", "h5py")

Progress = Callable[[int], None]
Told = Callable[[Forecast], None]


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
    fit_distance: bool = False,
    resume: bool = False,
    told: Told | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Write ``out``, or a shard of it, and its truth file ``<stem>.truth.h5``.

    ``config``: a configuration, or the mapping that a TOML file of one gives. ``structures`` is a
    directory to look for structures in; with ``fit_distance`` the detector moves back as far as the
    particle's speckles ask for; ``resume`` goes on with what an interrupted run left, if
    anything. ``told`` is called with what it will take before it starts, ``progress`` with the
    number of patterns just written. Raises the :class:`UserError` family, a :class:`DiskError`
    where the file would not fit; nothing is left behind under the final names unless both files are
    whole.
    """
    started = time.perf_counter()
    shard, whole = shard or Shard(), Path(out)
    part = shard.path(whole)
    if not resume:
        refuse_leftovers(part)
    simulator = Simulator(config, structures=structures, fit_distance=fit_distance)
    with salted(whole, shard, resume=resume) as salt:
        data = _DataSet(
            simulator=simulator,
            path=part,
            numbers=shard.patterns(simulator.config.patterns),
            provenance=_provenance(simulator, shard, salt),
            recipe={**_recipe(simulator), "salt": salt},
        )
        # What is left of an interrupted run may be about to replace what is there.
        if resume and part.exists() and not leftovers(part):
            return data.finish(started)
        return data.make(recover(part) if resume else None, told, progress, started)


@dataclass(frozen=True, kw_only=True)
class _DataSet:
    """A pattern file, its truth file, and what goes into them.

    ``numbers``: those of its patterns. ``recipe``: what the photons follow from, and the salt.
    """

    simulator: Simulator
    path: Path
    numbers: range
    provenance: dict[str, Any]
    recipe: dict[str, Any]

    def make(
        self, left: Path | None, told: Told | None, progress: Progress | None, started: float
    ) -> Summary:
        """Write both files, beginning with the patterns that an interrupted run has ``left``."""
        simulator = self.simulator
        simulator.photons(self.numbers.start, 1)  # compiles the loops, so that the rate is the rate
        ready = time.perf_counter()
        writer = PatternWriter(
            self.path,
            detector=simulator.geometry,
            beam=simulator.config.beam,
            background=simulator.background,
            particle_diameter_angstrom=simulator.diameter_angstrom,
            provenance=self.provenance,
        )
        # Both get their final names at the end of the block, or neither does.
        with whole_file(truth_path(self.path)) as truth_file, writer:
            done = copy_patterns(left, writer, self.provenance) if left else 0
            if self.numbers[done:]:
                ahead = forecast(simulator, self.numbers[done:], self.path)
                if told is not None:
                    told(ahead)
                ahead.require_space(self.path)
            if progress is not None and done:
                progress(done)
            _draw_and_write(simulator, writer, self.numbers[done:], progress)
            self._write_truth(truth_file)
        if left:
            left.unlink()
        rate = (len(self.numbers) - done) / (time.perf_counter() - ready)
        return self._summary(done, writer.photons, ready - started, rate)

    def finish(self, started: float) -> Summary:
        """Check a file that is whole; write its truth if the run was killed just before that."""
        with PatternReader(self.path) as reader:
            check_same(self.path, reader.info["provenance"], self.provenance)
            blocks = _blocks(range(len(self.numbers)))
            photons = sum(int(reader.read_raw(b.start, b.stop).count.sum()) for b in blocks)
        if not truth_path(self.path).exists():
            self._write_truth(truth_path(self.path))
        return self._summary(len(self.numbers), photons, time.perf_counter() - started, 0.0)

    def _write_truth(self, path: Path) -> None:
        shots = (self.simulator.shots(block.start, len(block)) for block in _blocks(self.numbers))
        write_truth(path, shots, self.recipe, self.simulator.defect)

    def _summary(self, resumed: int, photons: int, setup_s: float, rate: float) -> Summary:
        return Summary(
            path=str(self.path),
            truth_path=str(truth_path(self.path)),
            patterns=len(self.numbers),
            resumed=resumed,
            photons_per_pattern=photons / max(len(self.numbers), 1),
            bytes_per_photon=self.path.stat().st_size / max(photons, 1),
            setup_s=setup_s,
            patterns_per_s=rate,
            sha256=sha256(self.path),
        )


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


def _blocks(numbers: range) -> Iterator[range]:
    for start in range(0, len(numbers), _BLOCK):
        yield numbers[start : start + _BLOCK]


def _recipe(simulator: Simulator) -> dict[str, Any]:
    """Return what the photons follow from."""
    return {
        "seed": simulator.config.seed,
        "draw_version": simulator.draw_version,
        "species": simulator.species,
        "structures_sha256": simulator.checksums,
        "config": configuration.dumps(simulator.config),
    }


def _provenance(simulator: Simulator, shard: Shard, salt: str) -> dict[str, Any]:
    about = {
        "commitment": commitment(_recipe(simulator), salt),
        "patterns": len(shard.patterns(simulator.config.patterns)),
        "versions": {name: version(name) for name in _PACKAGES},
    }
    return about if shard.total == 1 else {**about, "shard": f"{shard.index}/{shard.total}"}
