"""Runs of known volume and poses: of the new kind with rounds, of the old kind, just begun."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from xrai.panels import METHODS
from xrai.state.monitor import Monitor
from xraisim.core.random import generator
from xraisim.core.types import Volume
from xraisim.files.poses import write_poses
from xraisim.files.result import Result, write_result
from xraisim.files.volumes import write_volume
from xraisim.report.page import write_report

ROUNDS = 6


def add_round(monitor: Monitor, number: int, **more) -> None:
    """Log a round of 400 patterns that reaches further out than the one before."""
    s = np.linspace(0.001, 0.03, 24)
    limit = 0.012 + 0.003 * number
    monitor.log(
        "round",
        number=number,
        kind="online" if number < 4 else "final",
        patterns_seen=min(400 * number, 1200),
        patterns=400,
        d_min_angstrom=1 / limit,
        loglik_per_pattern=-600.0 + 10 * number,
        patterns_per_s=2000.0 + 100 * (number % 3),
        outliers=0.02,
        misfit_median=0.3 / number,
        turned_deg_median=8.0 / number,
        error_deg_median=4.0 / number,
        disconcurrence_deg=None if number < 3 else 3.0 / number,
        s_per_angstrom=s.tolist(),
        icc_half=[None, *(1 / (1 + np.exp((s[1:] - limit) / 0.002)) - 0.02).tolist()],
        **{"icc_half_0.143_angstrom": None if number == 1 else 1.05 / limit, **more},
    )


def begin(directory: Path) -> Monitor:
    """Begin a run: its configuration and its random starts."""
    directory.mkdir(parents=True)
    (directory / "config.toml").write_text('seed = 0\ndevice = "<cpu> & </script>"\n')
    monitor = Monitor(directory / "metrics.jsonl", quiet=True)
    for restart in range(2):
        monitor.log("start", restart=restart, nll_per_photon=4.6 - 0.01 * restart, misfit=0.4)
    return monitor


def write_results(directory: Path, lumps, **columns: np.ndarray) -> None:
    """Write the true volume and poses as if the run had found them, and its result."""
    known = {"s_max_per_angstrom": 1.001 * lumps.s_max_per_angstrom}
    write_volume(directory / "intensity.h5", lumps.volume, known)
    count = len(lumps.poses)
    found = {
        "orientations": lumps.poses.numpy(),
        "fluence": lumps.fluence.numpy(),
        "loglik": np.linspace(-700, -500, count),
        **columns,
    }
    write_poses(directory / "poses.h5", found)
    result = Result(
        method="xrai", patterns=count, seconds=90.5, patterns_per_s=2100.0, d_min_angstrom=20.0,
        peak_memory_gib=1.25, figures={"seconds_start": 20.0, "seconds_rounds": 70.5},
    )  # fmt: skip
    write_result(directory, result)


def finish(run: Path, lumps, ball) -> Path:
    """Write a finished run with rounds, half-sets, weights, a warning, and a density."""
    monitor = begin(run)
    for number in range(1, ROUNDS + 1):
        add_round(monitor, number)
        if number % 2:
            monitor.log("warning", reason="half-sets <disagree> beyond 30 Å")
    monitor.log("encoder", steps=250)
    draw = np.random.default_rng(1)
    count = len(lumps.poses)
    weight = np.ones(count)
    weight[:6] = 0
    turned = lumps.poses.numpy() + 0.05 * draw.normal(size=(count, 4))
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    write_results(
        run, lumps, weight=weight, misfit=draw.normal(size=count), encoder_orientations=turned
    )
    for half in (1, 2):
        values = lumps.volume.values
        noise = torch.randn(values.shape, generator=generator(half, "half")) * values.std()
        noisy = Volume(values=values + 0.3 * noise, spacing=lumps.volume.spacing, kind="intensity")
        write_volume(run / f"half_{half}.h5", noisy)
    write_volume(run / "phasing" / "density.mrc", ball())
    return run


@pytest.fixture
def rounds_run(tmp_path, lumps, ball) -> Path:
    """A finished run with rounds, half-sets, weights, a warning, and a density."""
    return finish(tmp_path / "run", lumps, ball)


@pytest.fixture(scope="session")
def finished_page(tmp_path_factory, lumps, ball) -> str:
    """The page of a finished run, with patterns beside their predictions."""
    run = finish(tmp_path_factory.mktemp("finished") / "run", lumps, ball)
    write_report(run, run / "report.html", METHODS, patterns=lumps.patterns)
    return (run / "report.html").read_text()


@pytest.fixture
def old_run(tmp_path, lumps) -> Path:
    """A finished run from before there were rounds and half-sets."""
    run = tmp_path / "old"
    monitor = begin(run)
    for number in range(4):
        monitor.log(
            "refine", d_min_angstrom=40.0 - number, patterns=300, loglik_per_pattern=900.0,
            fluence_spread=0.3, turned_deg_median=1.0 / (1 + number),
        )  # fmt: skip
    identity = np.tile([1.0, 0, 0, 0], (len(lumps.poses), 1))
    write_results(run, lumps, encoder_orientations=identity)
    return run


@pytest.fixture
def begun_run(tmp_path) -> Path:
    """A run that has told of its starts, and is writing a line."""
    run = tmp_path / "begun"
    begin(run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"event": "rou')
    return run


@pytest.fixture(name="add_round")
def add_round_fixture() -> Callable[..., None]:
    return add_round


@pytest.fixture(name="begin")
def begin_fixture() -> Callable[[Path], Monitor]:
    return begin


@pytest.fixture(name="write_results")
def write_results_fixture() -> Callable[..., None]:
    return write_results
