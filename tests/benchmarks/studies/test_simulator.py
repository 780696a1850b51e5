"""The arithmetic of the simulator's performance tables, and what the peers are given to read."""

import sys
from pathlib import Path

import gemmi
import numpy as np
import pytest

from baselines.external.dragonfly.program import NotInstalledError
from benchmarks.studies.common.measured_command import CommandError, Measured, measure
from benchmarks.studies.simulator import peer_figures
from benchmarks.studies.simulator.dragonfly_peer import Dragonfly, pdb_text
from benchmarks.studies.simulator.our_simulator import MakeRun, settings
from benchmarks.studies.simulator.peer_programs import QUOTED
from benchmarks.studies.simulator.scale import extrapolated_s, flatness
from xraisim.sample.structure import Atoms
from xraisim.simulation.config import from_mapping


def other_run(patterns: int, wall_s: float) -> peer_figures.PeerRun:
    return peer_figures.PeerRun(
        patterns=patterns,
        wall_s=wall_s,
        photons_per_pattern=1000.0,
        peak_gib=0.5,
        bytes_per_photon=1.2,
    )


def make_run(patterns: int, patterns_per_s: float, other_s: float) -> MakeRun:
    return MakeRun(
        patterns=patterns,
        photons_per_pattern=1000.0,
        wall_s=other_s + patterns / patterns_per_s,
        setup_s=other_s / 2,
        patterns_per_s=patterns_per_s,
        peak_gib=1.0,
        bytes_per_photon=1.0,
        disk_bytes=1,
    )


def test_the_rate_and_the_set_up_of_a_linear_command_are_found() -> None:
    pairs = [
        tuple(other_run(n, 7.0 + n / rate) for n in (1_000, 11_000)) for rate in (800, 1000, 2000)
    ]
    row = peer_figures.peer(pairs, name="a", version="1", pixels=50, before_s=3.0)
    assert row.patterns_per_s == pytest.approx(1000)
    assert (row.slowest, row.fastest) == pytest.approx((800, 2000))
    assert row.setup_s == pytest.approx(10.0)
    assert row.pixels_per_s == pytest.approx(50_000)


def test_a_rate_from_noise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"200 patterns took 5\.00 s and 100 took 6\.00 s"):
        peer_figures.slope(other_run(100, 6.0), other_run(200, 5.0))


def test_programs_take_turns() -> None:
    called: list[tuple[str, int]] = []

    def program(name: str):
        def run(patterns: int) -> peer_figures.PeerRun:
            called.append((name, patterns))
            return other_run(patterns, float(patterns))

        return run

    turns = {"a": (program("a"), (1, 2)), "b": (program("b"), (3, 4))}
    pairs = peer_figures.take_turns(turns, 2)
    assert called == [("a", 1), ("a", 2), ("b", 3), ("b", 4)] * 2
    assert [[run.patterns for run in pair] for pair in pairs["b"]] == [[3, 4], [3, 4]]


def test_extrapolation_holds_the_set_up_fixed() -> None:
    run = make_run(10_000, 5_000.0, other_s=30.0)
    assert extrapolated_s(run, 10_000) == pytest.approx(run.wall_s)
    assert extrapolated_s(run, 5_000_000) == pytest.approx(30 + 1000)


def test_flatness_compares_the_largest_with_the_smallest() -> None:
    runs = [make_run(1000, 4_000.0, 1.0), make_run(10, 5_000.0, 1.0), make_run(100, 1.0, 1.0)]
    assert flatness(runs) == pytest.approx(0.8)


def test_a_command_is_measured_without_the_memory_of_its_caller() -> None:
    mine = np.ones(2**25)  # 256 MiB resident here
    small = measure([sys.executable, "-I", "-c", "print('small')"])
    large = measure([sys.executable, "-I", "-c", "print(len(bytearray(2**27)))"])
    assert mine.nbytes / 2**30 > small.peak_gib
    assert large.peak_gib - small.peak_gib == pytest.approx(0.125, abs=0.02)
    assert (small.stdout, large.stdout) == ("small\n", f"{2**27}\n")


def test_a_failing_command_shows_what_it_printed() -> None:
    with pytest.raises(CommandError, match=r"exit code 3: (?s:.*)no such volume"):
        measure([sys.executable, "-c", "import sys; print('no such volume'); sys.exit(3)"])


def test_the_setting_is_a_valid_configuration() -> None:
    config = from_mapping(settings("4v6x", 10, 2e12))
    assert config.beam.photons_per_pulse == 2e12
    assert (config.detector.rows, config.detector.s_min_per_angstrom) == (128, 0.004)


def test_dragonfly_reads_the_same_atoms() -> None:
    rng = np.random.default_rng(0)
    atoms = Atoms(
        positions=rng.uniform(-999, 999, (4, 3)),
        elements=np.array([6, 8, 30, 15]),
        occupancy=np.array([1.0, 0.5, 1.0, 0.25]),
        b_iso=np.array([0.0, 20.5, 1500.0, 99.99]),
    )
    found = gemmi.FlatStructure(gemmi.read_pdb_string(pdb_text(atoms)))
    np.testing.assert_allclose(found.pos, atoms.positions, atol=5.1e-4)
    np.testing.assert_allclose(found.occ, atoms.occupancy)
    assert [line[76:78] for line in pdb_text(atoms).splitlines()[:-1]] == [" C", " O", "ZN", " P"]


def test_a_directory_without_dragonfly_is_named(tmp_path: Path) -> None:
    config = from_mapping(settings("4v6x", 1))
    with pytest.raises(NotInstalledError, match=r"has no dragonfly\.emc; give the bin directory"):
        Dragonfly(tmp_path, tmp_path, beam=config.beam, detector=config.detector, threads=2)


def test_a_run_of_another_program_has_the_size_of_its_file(tmp_path: Path) -> None:
    taken = Measured(wall_s=2.0, cpu_s=1.0, peak_gib=0.5, stdout='x\n{"photons": 4}\n', stderr="")
    (tmp_path / "photons.h5").write_bytes(bytes(60))
    run = peer_figures.PeerRun.of(taken, 5, taken.figures()["photons"], tmp_path / "photons.h5")
    assert (run.bytes_per_photon, run.wall_s) == (3.0, 2.0)
    assert not (tmp_path / "photons.h5").exists()


def test_the_table_has_a_line_per_simulator_and_its_remark() -> None:
    pairs = [(other_run(1_000, 8.0), other_run(11_000, 18.0))]
    rows = [peer_figures.peer(pairs, name="a", version="1", pixels=50, remark="told"), *QUOTED]
    table = peer_figures.table(rows, "simulators")
    assert table.row_count == 4
    assert str(table.caption).startswith("a: told\n")
