"""A small data set, simulated once, and settings that reconstruct it in seconds."""

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.threads import one_thread
from xrai.config import (
    EncoderConfig,
    RoundsConfig,
    SearchConfig,
    StartConfig,
    TrainConfig,
)
from xrai.state.autosave import Autosave
from xrai.train import reconstruct
from xraisim.simulation import make
from xraisim.simulation.config import from_mapping
from xraisim.stopping import Stopped


@pytest.fixture(autouse=True, scope="session")
def torch_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    one_thread()
    yield
    torch.set_num_threads(before)


def simulate_particle(
    write_lumps: Callable[..., Path],
    directory: Path,
    *,
    background: float = 0.0,
    patterns: int = 900,
) -> Path:
    """Simulate a lumpy particle of about 140 Å on a 64 × 64 detector, kept to 25 Å."""
    particle = write_lumps(
        directory / "particle.pdb", atoms=300, lumps=8, spread_angstrom=28.0, seed=1
    )
    settings = from_mapping(
        {
            "structure": str(particle),
            "patterns": patterns,
            "background": {"photons_per_pixel": background},
            "beam": {"photons_per_pulse": 2e15},
            "detector": {
                "rows": 64,
                "columns": 64,
                "pixel_size_mm": 1.5625,
                "s_min_per_angstrom": 0.004,
                "s_max_per_angstrom": 0.04,
            },
            "fluence": {"distribution": "lognormal", "sigma": 0.3},
        }
    )
    out = directory / "patterns.h5"
    make.simulate(settings, out)
    return out


@pytest.fixture(scope="session")
def patterns(tmp_path_factory, write_lumps) -> Path:
    return simulate_particle(write_lumps, tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="session")
def quick_config() -> TrainConfig:
    return TrainConfig(
        block=400,
        start=StartConfig(restarts=1, steps=60, rotations=1000, batch=150, growth=1.12),
        search=SearchConfig(rotations=1500, hypotheses=2),
        rounds=RoundsConfig(final=2),
        encoder=EncoderConfig(
            rings=10, azimuths=16, directions=150, channels=32, heads=4, steps=60, batch=64
        ),
    )


@pytest.fixture(scope="session")
def quick_run(patterns, quick_config, tmp_path_factory) -> tuple[Path, dict]:
    """A finished run of these settings, to be looked at only, and its summary."""
    directory = tmp_path_factory.mktemp("quick") / "run"
    return directory, reconstruct(patterns, directory, quick_config, quiet=True)


@pytest.fixture(scope="session")
def brief_config(quick_config) -> TrainConfig:
    """Settings for what no good poses and no good encoder are needed for."""
    encoder = replace(
        quick_config.encoder, channels=8, heads=2, steps=4, steps_per_round=1, batch=16
    )
    return replace(quick_config, rounds=RoundsConfig(final=1, global_searches=0), encoder=encoder)


@pytest.fixture(scope="session")
def brief_run(patterns, brief_config, tmp_path_factory) -> Path:
    """A finished run of them, to be looked at only."""
    directory = tmp_path_factory.mktemp("brief") / "run"
    reconstruct(patterns, directory, brief_config, quiet=True)
    return directory


@pytest.fixture(scope="session")
def simulate(write_lumps):
    """Return the function that simulates the particle into a directory."""
    return partial(simulate_particle, write_lumps)


@pytest.fixture
def stop_after(patterns, tmp_path, monkeypatch) -> Callable[[TrainConfig, int], Path]:
    """Return a function: a run that SIGTERM stops after some blocks → its directory."""

    def stopped(config: TrainConfig, after_blocks: int) -> Path:
        blocks, original = itertools.count(1), Autosave.after_block

        def told_to_stop(self, state):
            if next(blocks) == after_blocks:
                os.kill(os.getpid(), signal.SIGTERM)
            original(self, state)

        with monkeypatch.context() as patch:
            patch.setattr(Autosave, "after_block", told_to_stop)
            with pytest.raises(Stopped, match="xrai resume"):
                reconstruct(patterns, tmp_path / "stopped", config, quiet=True)
        return tmp_path / "stopped"

    return stopped


@pytest.fixture
def assert_same() -> Callable[[Path, Path], None]:
    """Return a function that compares what two runs found, bit for bit."""

    def same(first: Path, second: Path) -> None:
        for name in ("poses.h5", "intensity.h5", "half_1.h5"):
            with h5py.File(first / name) as one, h5py.File(second / name) as other:
                for key in one:
                    np.testing.assert_array_equal(one[key], other[key], err_msg=f"{name}, {key}")

    return same
