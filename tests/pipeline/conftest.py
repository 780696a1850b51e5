"""A small particle on a detector with panels, a gap, a beamstop and background."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.threads import one_thread
from xrai.config import EncoderConfig, SearchConfig, StartConfig, TrainConfig
from xraisim.simulation import make
from xraisim.simulation.config import from_mapping

PIXEL_MM, ROWS, COLUMNS, GAP = 1.5625, 30, 64, 4


@pytest.fixture(autouse=True, scope="session")
def torch_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    one_thread()
    yield
    torch.set_num_threads(before)


def panel(name: str, first_row_mm: float) -> dict:
    return {
        "name": name,
        "rows": ROWS,
        "columns": COLUMNS,
        "corner_mm": (-COLUMNS / 2 * PIXEL_MM, first_row_mm, 0.0),
        "fs_mm": (PIXEL_MM, 0.0, 0.0),
        "ss_mm": (0.0, PIXEL_MM, 0.0),
    }


@pytest.fixture(scope="session")
def native(tmp_path_factory, write_lumps) -> Path:
    """600 patterns to 30 Å; a tenth of the photons are background."""
    directory = tmp_path_factory.mktemp("native")
    particle = write_lumps(
        directory / "particle.pdb", atoms=240, lumps=6, spread_angstrom=30.0, seed=5
    )
    gap = GAP / 2 * PIXEL_MM
    settings = from_mapping(
        {
            "structure": str(particle),
            "patterns": 600,
            "background": {"photons_per_pixel": 4.0},
            "beam": {"photons_per_pulse": 2e15},
            "detector": {
                "panels": (panel("low", -gap - ROWS * PIXEL_MM), panel("high", gap)),
                "beamstop_radius_mm": 3.5,
                "s_min_per_angstrom": 0.004,
                "s_max_per_angstrom": 0.033,
            },
            "fluence": {"distribution": "lognormal", "sigma": 0.3},
        }
    )
    make.simulate(settings, directory / "patterns.h5")
    return directory / "patterns.h5"


@pytest.fixture(scope="session")
def small_config() -> TrainConfig:
    """A reconstruction in seconds."""
    return TrainConfig(
        block=300,
        start=StartConfig(steps=160, rotations=1000, batch=150, growth=1.04),
        search=SearchConfig(rotations=1500, hypotheses=2),
        encoder=EncoderConfig(steps=10, batch=32, heads=2, channels=8),
    )
