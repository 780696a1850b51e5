"""Whole data sets: killed and resumed, in shards, in memory, and with everything switched on."""

import os
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import tomli_w
import torch
from scipy import stats

import xraisim
from xraisim.core.errors import ConfigError
from xraisim.core.fingerprint import photons_sha256
from xraisim.core.rotations import to_matrix
from xraisim.files.commitment import salt_path
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL
from xraisim.files.patterns import PatternReader
from xraisim.files.shards import Shard
from xraisim.files.truth import read_truth, truth_path
from xraisim.sample.species import Species
from xraisim.simulation.config import from_mapping
from xraisim.simulation.make import simulate
from xraisim.simulation.simulator import Simulator

PATTERNS = 20_000


@pytest.fixture
def mapping(small_particle):
    """Patterns of about 25 photons each: a few chunks of entries."""
    return {
        "structure": str(small_particle),
        "patterns": PATTERNS,
        "seed": 5,
        "beam": {"photons_per_pulse": 5e16},
        "detector": {"rows": 24, "columns": 24, "pixel_size_mm": 3.0},
    }


def photons(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in (OFFSETS, PIXEL, COUNT)}


def assert_same(one, other):
    for name, values in one.items():
        assert (values == other[name]).all(), name


def assert_same_truth(one, other):
    for name in ("fluence", "orientations", "hits"):
        assert (getattr(one, name) == getattr(other, name)).all()


@pytest.fixture
def uninterrupted(mapping, tmp_path):
    out = tmp_path / "whole.h5"
    simulate(from_mapping(mapping), out)
    return out


_COMMAND = """
import sys, tomllib
from xraisim.simulation.make import simulate
from xraisim.sample.species import Species
from xraisim.simulation.config import from_mapping
simulate(from_mapping(tomllib.loads(sys.argv[1])), sys.argv[2], resume=True)
"""


def _kill_when(arguments, ready):
    """Start a run, kill it as soon as ``ready()``; return whether it was still going."""
    process = subprocess.Popen([sys.executable, "-c", _COMMAND, *arguments])
    while process.poll() is None:
        if ready():
            os.kill(process.pid, signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        time.sleep(0.002)
    return False


def test_a_killed_run_resumes_to_the_same_file(mapping, uninterrupted, tmp_path):
    """Killed twice: while it draws, and while it copies what the first one left."""
    out = tmp_path / "killed.h5"
    partial = out.with_name("killed.h5.partial")
    arguments = [tomli_w.dumps(mapping), str(out)]

    def holds_patterns():
        try:
            with PatternReader(partial) as reader:
                return reader.n_patterns > 0
        except ValueError:  # not there, or not set up yet
            return False

    assert _kill_when(arguments, holds_patterns)
    with pytest.raises(ConfigError, match="continue it with --resume"):
        simulate(from_mapping(mapping), out)
    with pytest.raises(ConfigError, match="was made with other settings, another seed"):
        simulate(from_mapping({**mapping, "seed": 6}), out, resume=True)
    assert _kill_when(arguments, lambda: out.with_name("killed.h5.interrupted.partial").exists())
    summary = simulate(from_mapping(mapping), out, resume=True)
    assert 0 < summary.resumed < PATTERNS
    assert_same(photons(out), photons(uninterrupted))
    assert_same_truth(read_truth(truth_path(out)), read_truth(truth_path(uninterrupted)))
    assert not list(tmp_path.glob("killed*.partial"))
    # As if it had been killed between the two files.
    salt_path(out).write_text(read_truth(truth_path(out)).salt)
    truth_path(out).unlink()
    again = simulate(from_mapping(mapping), out, resume=True)
    assert (again.resumed, again.photons_per_pattern) == (PATTERNS, summary.photons_per_pattern)
    assert_same_truth(read_truth(truth_path(out)), read_truth(truth_path(uninterrupted)))
    assert not salt_path(out).exists()
    truth_path(out).unlink()
    with pytest.raises(ConfigError, match="neither its truth file nor"):
        simulate(from_mapping(mapping), out, resume=True)


def test_what_was_to_replace_a_file_is_gone_on_with(mapping, uninterrupted, tmp_path):
    """A set that is made anew (--force) and interrupted: --resume means that one."""
    new, out = tmp_path / "new.h5", tmp_path / "out.h5"
    other = from_mapping({**mapping, "seed": 6})
    simulate(other, new)
    for one, two in ((uninterrupted, out), (truth_path(uninterrupted), truth_path(out))):
        shutil.copy(one, two)
    shutil.copy(new, out.with_name("out.h5.partial"))
    salt_path(out).write_text(read_truth(truth_path(new)).salt)
    assert simulate(other, out, resume=True).resumed == PATTERNS
    assert_same(photons(out), photons(new))
    assert read_truth(truth_path(out)).seed == 6
    assert not salt_path(out).exists()


def test_shards_are_the_parts_of_the_whole(mapping, uninterrupted, tmp_path):
    out = tmp_path / "parts.h5"
    config = from_mapping(mapping)
    for k in (1, 2, 3):
        summary = simulate(config, out, shard=Shard(k, 3))
        assert summary.path.endswith(f"parts.shard-{k}-of-3.h5")
    with PatternReader(out) as parts, PatternReader(uninterrupted) as whole:
        assert parts.n_patterns == PATTERNS
        one, other = parts.read_raw(0, PATTERNS), whole.read_raw(0, PATTERNS)
        assert (one.pixel == other.pixel).all()
        assert (one.count == other.count).all()
        assert (one.offsets == other.offsets).all()
    assert_same_truth(read_truth(truth_path(out)), read_truth(truth_path(uninterrupted)))


def test_a_stream_is_the_file_without_the_file(mapping, uninterrupted):
    patterns = xraisim.stream(mapping)
    with PatternReader(uninterrupted) as reader:
        assert patterns.n_patterns == reader.n_patterns
        assert (patterns.pixels.index == reader.pixels.index).all()
        assert (patterns.pixels.s == reader.pixels.s).all()
        assert (patterns.pixels.gain == reader.pixels.gain).all()
        assert {k: v for k, v in patterns.info.items() if k != "provenance"} == {
            k: v for k, v in reader.info.items() if k != "provenance"
        }
        for start, stop in ((100, 180), (19_990, 20_000), (7, 7)):
            one, other = patterns.read(start, stop), reader.read(start, stop)
            assert (one.pixel == other.pixel).all()
            assert (one.count == other.count).all()


EVERYTHING = {
    "beam": {
        "photons_per_pulse": 2e17,
        "focus": "gaussian",
        "position_jitter_um": 0.2,
        "pulse_energy_jitter": 0.1,
        "energy_jitter": 0.005,
        "bandwidth": 0.005,
        "spectral_lines": 3,
        "polarisation": "y",
    },
    "hits": {"blank_fraction": 0.2, "multiple_fraction": 0.2, "contaminant_fraction": 0.1}
    | {"contaminant_radius_angstrom": 15.0},
    "background": {"photons_per_pixel": 0.05, "strength": {"distribution": "gamma"}},
    "defects": {"dead_fraction": 0.02, "hot_fraction": 0.01, "announced": 0.5},
    "readout": {"adu_per_photon": 30.0, "noise_adu": 5.0, "common_mode_adu": 3.0},
}


@pytest.fixture
def everything(mapping, small_particle):
    species = [
        {"structure": str(small_particle), "weight": 2.0},
        {"structure": str(small_particle), "name": "in water", "solvent": {"enabled": True}},
        {"shape": "icosahedron", "size_nm": 2.0, "material": "gold", "weight": 0.5}
        | {"size_spread": 0.1},
    ]
    detector = {**mapping["detector"], "saturation_photons": 40}
    made = {**mapping, **EVERYTHING, "detector": detector, "patterns": 400, "species": species}
    del made["structure"]
    return from_mapping(made)


def test_everything_at_once_is_made_and_labelled(everything, small_particle, tmp_path):
    out = tmp_path / "all.h5"
    simulate(everything, out)
    truth = read_truth(truth_path(out))
    assert truth.species == (str(small_particle), "in water", "icosahedron")
    assert set(truth.hits) == {0, 1, 2, 3}
    assert set(truth.particles.model) == {0, 1, 2, 3}
    assert set(truth.defect) == {0, 1, 2}
    assert (np.diff(truth.particles.offsets)[truth.hits == 0] == 0).all()
    assert (np.diff(truth.particles.offsets)[truth.hits == 2] >= 2).all()
    with PatternReader(out) as reader:
        block = reader.read_raw(0, 400)
        assert block.count.max() <= 41, "saturated, but for a photon of read-out noise"
        totals = block.totals()
        known = reader.pixels.background
        assert float(known[known > 0].mean()) == pytest.approx(0.05)
    with h5py.File(out) as file:
        assert set(file["detector/mask"][()]) == {0, 8}
    assert totals[truth.hits == 0].mean() < 0.5 * totals[truth.hits != 0].mean()


def test_everything_at_once_does_not_depend_on_the_batch(everything):
    simulator = Simulator(everything)
    whole = simulator.photons(0, 60)
    parts = [simulator.photons(start, 15) for start in range(0, 60, 15)]
    assert (np.concatenate([part.pixel for part in parts]) == whole.pixel).all()
    assert (np.concatenate([part.count for part in parts]) == whole.count).all()


def test_a_body_of_another_size_scatters_as_one_made_so(mapping):
    """λ of a shot is gain · φ · |n a³ Π sinc(a L s_k)|² for a cube of a times the edge L."""
    cube = {"shape": "cube", "size_nm": 1.5, "material": "gold", "size_spread": 0.2}
    del mapping["structure"]
    simulator = Simulator({**mapping, "species": [cube]})
    met, seen = simulator.shots(0, 4).particles(), simulator.geometry
    assert np.ptp(met.size) > 0.05
    R = to_matrix(torch.from_numpy(met.orientation.astype(float))).numpy()
    drawn = simulator.photons(0, 4).dense(len(seen.gain)).numpy()
    for row, found in enumerate(drawn):
        edge = 15.0 * float(met.size[row])
        F = edge**3 * np.sinc(edge * (seen.s @ R[row])).prod(1)
        F *= abs(Species(**cube).body().density(4600.0))
        expected = (seen.gain * met.fluence[row] * F**2)[seen.good]
        total = expected.sum()
        assert abs(found.sum() - total) < 0.01 * total + 4 * np.sqrt(total)
        assert stats.pearsonr(found[seen.good], expected)[0] > 0.99


def test_a_background_that_is_not_told_is_in_the_photons_alone(mapping, tmp_path):
    photons = {}
    for told in (True, False):
        out = tmp_path / f"{told}.h5"
        background = {"photons_per_pixel": 0.5, "told": told}
        simulate(from_mapping({**mapping, "background": background}), out)
        with PatternReader(out) as reader:
            assert reader.pixels.has_background == told
            photons[told] = photons_sha256([reader.read_raw(0, reader.n_patterns)])
    assert photons[True] == photons[False]


def test_a_sample_is_described_in_one_way(mapping):
    with pytest.raises(ConfigError, match="say what the sample is in one of the two ways"):
        from_mapping(
            {**mapping, "species": [{"shape": "cube", "size_nm": 3.0, "material": "gold"}]}
        )


def test_the_old_name_of_the_background_is_explained():
    with pytest.raises(ConfigError, match=r"photons_per_pixel in the table \[background\]"):
        from_mapping({"background_photons_per_pixel": 0.1})
