"""Patterns per second of the simulator, in memory and with the file.

    pytest benchmarks/studies/simulator/test_simulator_speed.py --benchmark-only -n 0

The 70S ribosome on the full published detector. One line of the table is one call for 1,024
patterns; the figure to quote is ``1024 / min`` (other work on the machine only ever slows it down).
"""

import dataclasses

import numpy as np
import pytest

from xraisim.instrument.detector import geometry
from xraisim.instrument.presets import preset
from xraisim.photons import draw as photon_draw
from xraisim.photons.draw import PhotonSampler
from xraisim.photons.expected import ExpectedPhotons
from xraisim.photons.shots import ShotRecipe, draw_shots
from xraisim.sample.structure import locate, read_atoms
from xraisim.scattering.intensity import intensity_spline
from xraisim.simulation.config import SimulationConfig
from xraisim.simulation.make import simulate

PATTERNS = 1024


@pytest.fixture(scope="module")
def sampler() -> PhotonSampler:
    instrument, atoms = preset("xrai2025"), read_atoms(locate("4v5d"))
    seen = geometry(instrument.detector, instrument.beam)
    volume = intensity_spline(atoms, seen.s_max, instrument.beam.photon_energy_ev)
    return PhotonSampler(ExpectedPhotons([volume], seen), seed=0)


def test_draw(benchmark, sampler):
    benchmark.extra_info["patterns"] = PATTERNS
    shots = draw_shots(ShotRecipe(), 0, 0, PATTERNS)
    benchmark.pedantic(sampler.draw, args=(shots, 0), rounds=15, warmup_rounds=1)


@pytest.mark.parametrize("photons", [300, 100, 30, 10, 3])
@pytest.mark.parametrize("bound", ["blocks", "envelope"])
def test_thinning(benchmark, sampler, monkeypatch, photons, bound):
    """Either bound at fewer and fewer photons per pattern: where one overtakes the other."""
    monkeypatch.setattr(photon_draw, "_ENVELOPED_BELOW", 1.0 if bound == "envelope" else 0)
    shots = draw_shots(ShotRecipe(), 0, 0, PATTERNS)
    mean = sampler.draw(shots, 0).totals().mean()
    weight = (shots.weight * photons / mean).astype(np.float32)
    shots = dataclasses.replace(shots, weight=weight)
    benchmark.extra_info["patterns"] = PATTERNS
    benchmark.pedantic(sampler.draw, args=(shots, 0), rounds=10, warmup_rounds=1)


def test_make_with_file(benchmark, tmp_path):
    config = SimulationConfig(patterns=8 * PATTERNS)
    summary = benchmark.pedantic(simulate, args=(config, tmp_path / "p.h5"), rounds=1)
    benchmark.extra_info["patterns_per_s"] = summary.patterns_per_s
    print(
        f"\n{summary.patterns_per_s:.0f} patterns/s with the file, {summary.setup_s:.1f} s set-up"
    )
