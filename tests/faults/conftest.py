"""Commands in processes of their own, to be killed at any moment; small data for them.

XRAI_FAULT_KILLS (2): how many kills of each kind; a long run takes 30 or more.
"""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import h5py
import numpy as np
import pytest

from baselines.emc.config import EmcConfig, Level
from xrai.config import EncoderConfig, RoundsConfig, SearchConfig, StartConfig, TrainConfig
from xraisim.core import config as toml

KILLS = int(os.environ.get("XRAI_FAULT_KILLS", "2"))
_PROGRAMS = {"xrai-sim": "xraisim.cli", "xrai": "xrai.cli", "xrai-baseline": "baselines.cli"}
_LONGEST_S = 300.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")


def _commands() -> list[str]:
    """Return the modules of all commands: loaded beforehand, a process begins at once."""
    root = Path(__file__).parent.parent.parent
    paths = root.glob("*/commands/*.py")
    return [".".join(path.relative_to(root).with_suffix("").parts) for path in sorted(paths)]


def _run(
    program: str, arguments: list[str], log: Path, limit_bytes: int, begun: Connection
) -> None:
    """Be a command, in a process forked for it, in a session of its own; ``begun``: told of it.

    Signals are heard even where the tests run in the background of a shell, which ignores Ctrl-C.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [program, *arguments]
    with log.open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    begun.send(True)
    begun.close()
    if limit_bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    import_module(_PROGRAMS[program]).main()


@dataclass
class Running:
    """A command that runs, and what it said once it has ended."""

    process: BaseProcess
    log: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def end(self) -> int:
        """Wait for its end; return the exit status."""
        self.process.join(_LONGEST_S)
        if self.process.exitcode is None:
            self.process.kill()
            pytest.fail(f"still running after {_LONGEST_S:g} s:\n{self.said}")
        return self.process.exitcode

    def run_for(self, seconds: float = math.inf) -> float:
        """Wait until it has had so much processor time, or has ended; return how much it had."""
        had, until = 0.0, time.monotonic() + _LONGEST_S
        while had < seconds and self.process.is_alive() and time.monotonic() < until:
            had = max(had, processor_s(self.pid))
            time.sleep(0.003)
        return had

    def stop(self, number: int) -> float:
        """Send a signal; return the seconds to the end, less those of waiting for a processor."""
        began, waited = time.monotonic(), [queued_s(self.pid)]
        with suppress(ProcessLookupError):  # it has ended by itself
            os.kill(self.pid, number)
        while self.process.is_alive() and time.monotonic() < began + _LONGEST_S:
            waited.append(queued_s(self.pid))
            self.process.join(0.02)
        return time.monotonic() - began - (max(waited) - waited[0])

    @property
    def said(self) -> str:
        return self.log.read_text()


def processor_s(pid: int) -> float:
    """Return the processor time that a process has had; 0 once it has ended."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # its clock, as clock_getcpuclockid(3) names it
    except OSError:
        return 0.0


def queued_s(pid: int) -> float:
    """Return how long the threads of a process have waited for a processor, all together.

    0 once it has ended, at whatever moment that is.
    """
    waited = 0
    with suppress(OSError):
        for path in list(Path(f"/proc/{pid}/task").glob("*/schedstat")):
            with suppress(OSError):
                waited += int(path.read_text().split()[1])
    return waited * 1e-9


@pytest.fixture(scope="session")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Return the function that starts a command: program, then arguments."""
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # of the processes to come
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PROGRAMS.values(), *_commands()])
    logs, started = tmp_path_factory.mktemp("said"), []

    def start(program: str, *arguments: object, limit_bytes: int = 0) -> Running:
        log = logs / f"{len(started)}.log"
        words = [str(one) for one in arguments]
        begun, tell = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(program, words, log, limit_bytes, tell))
        process.start()
        started.append(process)
        tell.close()
        with begun:  # a signal before that would meet Python's own beginnings
            begun.recv()
        return Running(process, log)

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.fixture(scope="session")
def finish(begin) -> Callable[..., str]:
    """Return the function that runs a command to its good end; it returns what was said."""

    def run(*arguments: object) -> str:
        running = begin(*arguments)
        assert running.end() == 0, running.said
        return running.said

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return the function that mounts a disk of so many KiB; skips where that is forbidden."""
    mounted = []

    def mount(kib: int) -> Path:
        path = tmp_path / "disk"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(path)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Return the function that makes a directory read-only, for root too."""
    mounted = []

    def forbid(path: Path) -> None:
        bind = ["mount", "--bind", str(path), str(path)]
        again = ["mount", "-o", "remount,bind,ro", str(path)]
        if subprocess.run(bind, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        mounted.append(path)
        subprocess.run(again, check=True)

    yield forbid
    for path in mounted:
        subprocess.run(["umount", str(path)], check=True)


@pytest.fixture(scope="session")
def settings(tmp_path_factory, write_lumps) -> Path:
    """Settings of `xrai-sim make`: 9,000 patterns of 256 pixels: a few chunks of entries."""
    directory = tmp_path_factory.mktemp("settings")
    particle = write_lumps(
        directory / "particle.pdb", atoms=60, lumps=6, spread_angstrom=14.0, seed=1
    )
    path = directory / "make.toml"
    path.write_text(
        f'structure = "{particle}"\npatterns = 9000\nseed = 5\n'
        "[beam]\nphotons_per_pulse = 3e15\n"
        "[detector]\nrows = 16\ncolumns = 16\npixel_size_mm = 4.5\n"
    )
    return path


@pytest.fixture(scope="session")
def made(settings, finish, tmp_path_factory) -> Path:
    """What `xrai-sim make` makes of them if nobody disturbs it."""
    path = tmp_path_factory.mktemp("made") / "patterns.h5"
    finish("xrai-sim", "make", "--config", settings, "--out", path)
    return path


def timed(running: Running) -> float:
    """Let a command come to its good end; return its processor time in seconds."""
    seconds = running.run_for()
    assert running.end() == 0, running.said
    return seconds


def warm(begin: Callable[..., Running], root: Path, *command: object) -> tuple[Path, float]:
    """Return what a command leaves, and its time once loops are compiled, in the second run."""
    out = root / "run"
    timed(begin(*command, root / "first"))
    return out, timed(begin(*command, out))


@pytest.fixture(scope="session")
def few(settings, finish, tmp_path_factory) -> Path:
    """150 of these patterns: `xrai train` and `xrai-baseline emc` take them for seconds."""
    path = tmp_path_factory.mktemp("few") / "patterns.h5"
    finish("xrai-sim", "make", "--config", settings, "--n", 150, "--out", path)
    return path


@pytest.fixture(scope="session")
def train_settings(tmp_path_factory) -> Path:
    config = TrainConfig(
        device="cpu",
        block=60,
        checkpoint_s=0.2,
        start=StartConfig(reach=3.0, restarts=1, steps=20, rotations=300, batch=60, growth=1.3),
        search=SearchConfig(
            rotations=400, hypotheses=2, reach=3.0, wide_reach=3.5, wide_rotations=500
        ),
        rounds=RoundsConfig(final=1, ratio=1.2, global_searches=1),
        encoder=EncoderConfig(
            rings=6, azimuths=8, directions=60, channels=8, heads=2, steps=20, batch=32
        ),
    )
    path = tmp_path_factory.mktemp("train") / "train.toml"
    path.write_text(toml.dumps(config))
    return path


@pytest.fixture(scope="session")
def trained(few, train_settings, begin, tmp_path_factory) -> tuple[Path, float]:
    """A run that nobody disturbs, and its processor time."""
    root = tmp_path_factory.mktemp("trained")
    return warm(begin, root, "xrai", "train", few, "--config", train_settings, "--out")


@pytest.fixture(scope="session")
def emc_settings(tmp_path_factory) -> Path:
    levels = (
        Level(reach=3.0, rotations=100, iterations=4),
        Level(reach=4.0, rotations=200, iterations=3),
    )
    path = tmp_path_factory.mktemp("emc") / "emc.toml"
    path.write_text(toml.dumps(EmcConfig(levels=levels, restarts=2, device="cpu")))
    return path


@pytest.fixture(scope="session")
def emc_done(few, emc_settings, begin, tmp_path_factory) -> tuple[Path, float]:
    root = tmp_path_factory.mktemp("emc_done")
    return warm(begin, root, "xrai-baseline", "emc", few, "--config", emc_settings, "--out")


def same_data(one: Path, other: Path) -> bool:
    """Whether two HDF5 files hold the same datasets, bit for bit."""

    def datasets(path: Path) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item: (
                    found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
        return found

    first, second = datasets(one), datasets(other)
    return first.keys() == second.keys() and all(
        np.array_equal(values, second[name], equal_nan=values.dtype.kind == "f")
        for name, values in first.items()
    )


def disturbed(
    begin_or_resume: Callable[[], Running], number: int, whole_s: float, random: np.random.Generator
) -> int:
    """Start a command over and over, and end it by a signal at random moments, until it finishes.

    ``whole_s``: its processor time undisturbed. Returns how many times it was ended. Told to
    stop it must do so soon, say how to go on, and end with the status of the signal.
    """
    ended = 0
    for _ in range(200):
        running = begin_or_resume()
        running.run_for(random.uniform(0, 1.3 * whole_s))
        took = running.stop(number)
        status = running.end()
        if status == 0:
            return ended
        ended += 1
        if number == signal.SIGKILL:
            assert status == -number, running.said
            continue
        if status == -number or (status == 1 and "KeyboardInterrupt" in running.said):
            continue  # it had not come to listen yet
        assert status == 128 + number, running.said
        assert took < 15.0, running.said  # two seconds, on a loaded machine
        assert running.said.count("stopped by") == 1, running.said
        assert "Traceback" not in running.said, running.said
    pytest.fail("it never finishes")
