"""The arithmetic of the comparison with Dragonfly's EMC; the programs themselves are not run."""

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from baselines.emc import EmcConfig
from benchmarks.studies.emc import classes, plots, scaling
from benchmarks.studies.emc.dragonfly import read_run
from benchmarks.studies.emc.ours import _first_volume, march_to
from benchmarks.studies.emc.truth import (
    Truth,
    agreement,
    first_reaching,
    likelihood_per_photon,
    shared_out,
)
from benchmarks.studies.emc.whole import _ratio, _reach
from xraisim.core import rotations, so3
from xraisim.core.fourier import coordinates
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Photons, Pixels, Volume
from xraisim.files.truth import read_truth, truth_path
from xraisim.photons.hits import SINGLE
from xraisim.simulation.config import from_mapping
from xraisim.simulation.make import simulate

DIAMETER_ANGSTROM, S_MAX = 100.0, 0.035


def speckles(grid: int, spacing: float, quaternion: torch.Tensor | None = None) -> Volume:
    """|F|² of twelve points in the particle, turned: V(A s) with A given."""
    draw = generator(2, "test")
    points = torch.randn(12, 3, generator=draw).double() * 18
    s = coordinates(grid, spacing).double()
    if quaternion is not None:
        s = s @ rotations.to_matrix(quaternion.double()).T
    phase = 2 * math.pi * torch.einsum("xyzk,jk->xyzj", s, points)
    values = phase.cos().sum(-1) ** 2 + phase.sin().sum(-1) ** 2
    return Volume(values=values.float(), spacing=spacing, kind="intensity")


@pytest.fixture(scope="module")
def truth() -> Truth:
    fine = speckles(91, 0.001)
    return Truth(volume=fine, s_range=(0.006, S_MAX), diameter_angstrom=DIAMETER_ANGSTROM)


def test_a_turned_volume_of_another_sampling_agrees_and_a_wrong_one_does_not(truth: Truth) -> None:
    A = so3.haar(1, generator(4, "turn"))[0]
    # what is said of a grid as fine as the truth's holds for one of half its sampling
    for grid, spacing, least in ((91, 0.001, 0.98), (47, 0.002, 0.95)):
        assert agreement(speckles(grid, spacing, A), truth).mean > least
    noise = torch.rand(47, 47, 47, generator=generator(5, "noise"))
    wrong = Volume(values=noise, spacing=0.002, kind="intensity")
    assert agreement(wrong, truth).mean < 0.3


def test_sharing_out_keeps_what_is_smooth_and_averages_noise() -> None:
    s = coordinates(91, 0.001)
    smooth = Volume(values=s @ torch.tensor([1.0, 2.0, -3.0]) + 5, spacing=0.001, kind="intensity")
    coarse = shared_out(smooth, S_MAX, DIAMETER_ANGSTROM)
    at = coordinates(coarse.grid, coarse.spacing)
    inner = at.norm(dim=-1) < S_MAX - 2 * coarse.spacing
    expected = at @ torch.tensor([1.0, 2.0, -3.0]) + 5
    torch.testing.assert_close(coarse.values[inner], expected[inner], atol=2e-3, rtol=0)
    noise = torch.randn(91, 91, 91, generator=generator(6, "noise"))
    averaged = shared_out(
        Volume(values=noise, spacing=0.001, kind="intensity"), S_MAX, DIAMETER_ANGSTROM
    )
    assert averaged.values[inner].std() < 0.3 * noise.std()


def test_photons_are_likelier_under_the_truth_at_any_scale(truth: Truth) -> None:
    rng = np.random.default_rng(0)
    s = torch.from_numpy(rng.uniform(-0.02, 0.02, (300, 3))).float()
    s[:, 2] = 0
    pixels = Pixels(
        s=s,
        gain=torch.ones(300),
        background=torch.zeros(300),
        index=torch.arange(300),
        shape=(1, 300),
    )
    true = rotations.to_matrix(so3.super_fibonacci(200)[[3, 50, 120]])
    rate = slice_volume(truth.volume.values, true, s, truth.volume.spacing).double()
    counts = rng.poisson(400 * (rate / rate.sum(1, keepdim=True)).numpy())
    row, pixel = np.nonzero(counts)
    photons = Photons(
        offsets=np.searchsorted(row, np.arange(4)),
        pixel=pixel.astype(np.int32),
        count=counts[row, pixel].astype(np.int32),
    )

    def judged(values: torch.Tensor) -> float:
        volume = Volume(values=values, spacing=truth.volume.spacing, kind="intensity")
        return likelihood_per_photon(volume, pixels, photons, 200)

    found = judged(truth.volume.values)
    # by hand: the three true orientations are on the grid, and stand out
    share = (rate / rate.sum(1, keepdim=True)).log().numpy()
    by_hand = ((counts * share).sum(1) - math.log(200)).sum() / counts.sum()
    assert found == pytest.approx(by_hand, abs=2e-3)
    assert judged(7 * truth.volume.values) == pytest.approx(found, abs=1e-5)
    assert judged(torch.ones_like(truth.volume.values)) < found - 0.05


def test_times_are_those_of_the_first_volume_that_is_good_enough() -> None:
    assert first_reaching([0.1, 0.8, 0.7, 0.9], [1.0, 2.0, 3.0, 4.0], 0.75) == 2.0
    assert first_reaching([0.1], [1.0], 0.75) is None
    curve = [{"truth_correlation": None, "done_s": 1.0}, {"truth_correlation": 0.9, "done_s": 6.0}]
    assert _reach(curve, 0.5) == 6.0
    assert _ratio(60.0, [2.0, 3.0]) == 20.0
    assert _ratio(60.0, [2.0, None]) is None


def test_a_checkpoint_gives_its_first_volume_wherever_it_is() -> None:
    volume = {"values": torch.zeros(1), "spacing": 0.1, "kind": "intensity"}
    assert _first_volume({"estimate": {"volume": volume}, "leader": None}) is volume
    assert _first_volume({"x": [1], "estimates": [{"models": [{"volume": volume}]}]}) is volume
    assert _first_volume({"x": [torch.zeros(2)]}) is None


def test_the_march_ends_at_the_edge_with_the_orientations_asked_for() -> None:
    config = march_to(6.3, 49.0, 10_860)
    assert [level.reach for level in config.levels] == [4.9, 6.3]
    assert config.levels[1].rotations == 10_860
    assert config.d_min_angstrom == 49.0
    assert config.levels[0] == EmcConfig().levels[0]


def test_a_run_of_dragonfly_is_read_with_or_without_its_times(tmp_path: Path) -> None:
    row = "{}\t2.50\t1e-1\t3.0\t-5.0\t420    \t0.25\n"
    (tmp_path / "EMC.log").write_text("\nIter\tt\n" + row.format(1) + row.format(2))
    (tmp_path / "data").mkdir()
    intensity, weight = np.ones((1, 3, 3, 3)), np.full((1, 3, 3, 3), 7.0)
    intensity[0, 1, 2, 0], weight[0, 1, 2, 0], intensity[0, 0, 0, 0] = 9e9, 1e-5, np.nan
    with h5py.File(tmp_path / "data/output_002.h5", "w") as file:
        file["intens"], file["inter_weight"] = intensity, weight
    run = read_run(tmp_path)
    assert (run.done_s, run.loads) == ([2.5, 5.0], [])
    assert run.largest_voxel(2) == (9e9, 1e-5)
    assert float(run.volume(2, 0.1).values[0, 0, 0]) == 0
    (tmp_path / "times.json").write_text(json.dumps({"done_s": [3.0, 6.0], "loads": [0.1, 0.2]}))
    assert read_run(tmp_path).done_s == [3.0, 6.0]


def test_the_exponent_is_that_of_the_upper_half() -> None:
    rows = [{"rotations": n, "seconds": 1 + n**2 / 1e4} for n in (10, 100, 1000, 10_000, 100_000)]
    assert scaling.exponent("rotations", rows) == pytest.approx(2.0, abs=0.01)


def test_the_plots_are_made(tmp_path: Path) -> None:
    row = {"done_s": 1.0, "truth_correlation": 0.5}
    plots.whole(tmp_path / "a.png", [row, row | {"done_s": 9.0}], [[row]], 0.5)
    line = {"used": -2.0, "held_out": -3.0, "peak_over_mean": 10.0}
    plots.divergence(tmp_path / "b.png", {"dragonfly": [line] * 3, "ours": [line]})
    point = {"patterns": 10, "rotations": 10, "pixels": 10, "seconds": 1.0}
    rows = {name: [point] for name in ("patterns", "rotations", "pixels")}
    plots.scaling(tmp_path / "c.png", rows)
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("a.png", "b.png", "c.png"))


def test_shots_are_counted_by_kind_and_class(tmp_path: Path) -> None:
    """Classes that are the truth: every kind goes to its own."""
    path = tmp_path / "patterns.h5"
    simulate(from_mapping(classes._experiment(60, 1e12)), path)
    truth = read_truth(truth_path(path))
    model = np.full(60, -1)
    hit = np.diff(truth.particles.offsets) > 0
    model[hit] = truth.particles.model[truth.particles.offsets[:-1][hit]]
    with h5py.File(tmp_path / "poses.h5", "w") as file:
        file["class_id"] = np.where(truth.hits == SINGLE, model + 1, 3)
    found = classes.counted(tmp_path / "poses.h5", truth)
    assert sum(map(sum, found.values())) == 60
    for kind, counts in found.items():
        own = {"50S": 0, "30S": 1}.get(kind, 2)
        assert sum(counts) == counts[own] > 0
