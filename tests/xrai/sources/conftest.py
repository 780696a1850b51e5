"""Small random patterns on a detector of 6 × 8 pixels, and processes that write or push them."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import numpy as np
import pytest
import zmq

from xrai.sources.config import SourceConfig
from xrai.sources.link import Link
from xraisim.core.types import Photons
from xraisim.files.patterns import PatternWriter
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry

GEOMETRY = geometry(Detector(rows=6, columns=8, pixel_size_mm=9, beamstop_radius_mm=8), Beam())
BRISK = SourceConfig(idle_timeout_s=30.0, poll_s=0.01)  # a loaded machine starts slowly
HASTY = SourceConfig(idle_timeout_s=0.5, poll_s=0.01)


def some_photons(patterns: int, seed: int = 1) -> Photons:
    """Return random patterns of 0 to 9 photons, some on masked pixels."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 10, patterns)
    return Photons(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        pixel=random.choice(GEOMETRY.good, lengths.sum()).astype(np.int32),
        count=random.integers(1, 4, lengths.sum()).astype(np.int32),
    )


def writer(path: Path, *, diameter: float = 100.0) -> PatternWriter:
    return PatternWriter(
        path,
        detector=GEOMETRY,
        beam=Beam(),
        background=0.25,
        particle_diameter_angstrom=diameter,
        provenance={"structure": "test", "seed": np.int64(3), "versions": {"x-rai": "0"}},
    )


def write(path: Path, photons: Photons, *, diameter: float = 100.0) -> Path:
    with writer(path, diameter=diameter) as file:
        file.append(photons)
    return path


def assert_same_blocks(found, expected) -> None:
    """Assert that two iterators of (rows, photons) give the same, bit for bit."""
    for (rows, one), (same_rows, other) in zip(found, expected, strict=True):
        assert rows == same_rows
        for name in ("offsets", "pixel", "count"):
            values, same = getattr(one, name), getattr(other, name)
            assert values.dtype == same.dtype
            assert np.array_equal(values, same), name


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until ``condition()`` holds; fail if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A file of 1,000 patterns."""
    return write(tmp_path / "stored.h5", some_photons(1000))


@pytest.fixture
def door() -> Iterator[Link]:
    """Where patterns can be pushed to; a source closes it."""
    return Link(zmq.PULL, "tcp://127.0.0.1:*")


@pytest.fixture
def start(repository: Path) -> Iterator[Callable[..., tuple[Process, Connection]]]:
    """Return the function that runs a script in a process of its own, killed at the end.

    The script finds its ``arguments`` and ``orders``, the other end of the connection that comes
    back with the process. Processes are forked from one that has imported what they need.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["xrai.sources.push", "pytest"])
    running: list[tuple[Process, Connection]] = []

    def run(script: str, *arguments: object) -> tuple[Process, Connection]:
        mine, theirs = context.Pipe()
        names = {"arguments": arguments, "orders": theirs, "repository": str(repository)}
        process = context.Process(target=exec, args=(script, names))
        process.start()
        theirs.close()
        running.append((process, mine))
        return process, mine

    yield run
    for process, orders in running:
        process.kill()
        process.join()
        process.close()
        orders.close()
