"""Unknown background is told before a reconstruction begins, and nothing else is taken for it."""

import json
import shutil
from pathlib import Path

import h5py
import pytest

from xrai.rounds.background import background_warning
from xrai.sources.stream import PatternStream
from xrai.train import reconstruct
from xraisim.files.patterns import PatternReader
from xraisim.simulation import make
from xraisim.simulation.config import from_mapping

# Of the photons. Lumps of uranium scatter far out; 30 % of a ribosome's patterns leave as little of
# the particle in the outer shells.
_SHARE = 0.7


def simulated(out: Path, particle: Path, seed: int, photons_per_pixel: float, **more) -> Path:
    settings = {
        "structure": str(particle),
        "patterns": 600,
        "seed": seed,
        "background": {"photons_per_pixel": photons_per_pixel},
        "beam": {"photons_per_pulse": 2e15},
        "detector": {
            "rows": 84,
            "columns": 84,
            "pixel_size_mm": 1.19,
            "s_min_per_angstrom": 0.004,
            "s_max_per_angstrom": 0.055,
        },
    }
    make.simulate(from_mapping(settings | more), out)
    return out


def untold(known: Path, out: Path) -> Path:
    shutil.copy(known, out)
    with h5py.File(out, "r+") as file:
        file["detector/background"][...] = 0
    return out


def doubt(path: Path) -> str | None:
    with PatternStream(path, 256, 1.0, 0) as stream:
        return background_warning(stream)


@pytest.mark.parametrize(("lumps", "seed"), [(8, 0), (8, 1), (8, 2), (20, 3), (20, 4), (20, 5)])
def test_only_unknown_background_is_doubted(tmp_path, write_lumps, lumps, seed):
    """Of two particles, three seeds each, with spread fluence, blanks, doubles and spheres."""
    particle = write_lumps(
        tmp_path / "particle.pdb", atoms=300, lumps=lumps, spread_angstrom=28.0, seed=lumps
    )
    clean = simulated(tmp_path / "clean.h5", particle, seed, 0.0)
    with PatternReader(clean) as reader:
        signal = float(reader.read(0, 600).totals().mean()) / len(reader.pixels)
    assert doubt(clean) is None
    level = signal * _SHARE / (1 - _SHARE)
    plain = simulated(tmp_path / "plain.h5", particle, seed, level)
    assert "background" in str(doubt(untold(plain, tmp_path / "untold.h5")))
    messy = {
        "fluence": {"distribution": "gamma", "shape": 2.0},
        "hits": {
            "blank_fraction": 0.1,
            "multiple_fraction": 0.1,
            "contaminant_fraction": 0.1,
            "contaminant_radius_angstrom": 30.0,
        },
    }
    assert doubt(simulated(tmp_path / "messy.h5", particle, seed, 0.0, **messy)) is None
    assert doubt(simulated(tmp_path / "known.h5", particle, seed, level, **messy)) is None


def test_a_run_warns_of_it_before_the_start(tmp_path, write_lumps, quick_config, monkeypatch):
    def fail(finder, monitor):
        raise KeyboardInterrupt

    particle = write_lumps(
        tmp_path / "particle.pdb", atoms=300, lumps=8, spread_angstrom=28.0, seed=8
    )
    told = simulated(tmp_path / "told.h5", particle, 0, 60.0)
    patterns = untold(told, tmp_path / "untold.h5")
    monkeypatch.setattr("xrai.train.robust_start", fail)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(patterns, tmp_path / "run", quick_config, quiet=True)
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [one["event"] for one in events] == ["warning"]
    assert "background" in events[0]["reason"]
