"""The encoder's cells as proposals: which are followed, and what a probe asks for."""

import math

import pytest
import torch

from xrai.encoder import Encoder
from xrai.poses import cells as cells_of
from xrai.poses.cells import CellProposals
from xrai.poses.finder import PoseFinder
from xrai.rounds.encoder_training import pixels_of
from xrai.sources.stream import PatternStream
from xrai.train import reconstruct
from xraisim.core import rotations
from xraisim.files.volumes import read_volume


@pytest.fixture(scope="module")
def setting(patterns, quick_config, tmp_path_factory):
    """Return (cells of an untaught encoder over a good volume, some patterns, the finder)."""
    directory = tmp_path_factory.mktemp("cells") / "run"
    reconstruct(patterns, directory, quick_config, quiet=True)
    with PatternStream(patterns, quick_config.block, quick_config.memory_gib) as stream:
        finder = PoseFinder(stream, quick_config, torch.device("cpu"))
        (_, photons), *_ = stream.blocks(0, 64)
        torch.manual_seed(0)
        encoder = Encoder(pixels_of(finder), quick_config.encoder)
        encoder.pattern.calibrate(photons.dense(len(pixels_of(finder))))
        volume = read_volume(directory / "intensity.h5")
        pixels = finder.pixels_within(finder.s_search)
        return CellProposals(volume, pixels, encoder, pixels_of(finder)), photons, finder


def test_cells_apart_come_likeliest_first_and_are_no_neighbours(setting):
    cells, _, _ = setting
    grid, n = cells.encoder.cells.grid, 5
    some = grid[torch.randperm(len(grid))[:40]].expand(n, 40, 4)
    loglik = torch.randn(n, 40, dtype=torch.float64)
    pose, gap, which = cells._apart(some, loglik, 3)
    assert torch.equal(which[:, 0], loglik.argmax(1))
    assert (gap.diff(dim=1) >= 0).all()
    assert (gap[:, 0] == 0).all()
    for left, right in ((0, 1), (0, 2), (1, 2)):
        apart = rotations.angle_between(pose[:, left], pose[:, right])
        assert (apart > cells.encoder.cells.spacing_rad).all()


def test_where_all_cells_are_neighbours_the_first_stands_for_them(setting):
    cells, _, _ = setting
    alike = cells.encoder.cells.grid[7].expand(3, 6, 4)
    pose, gap, which = cells._apart(alike, torch.arange(6.0).double().expand(3, 6), 3)
    assert (which == 5).all()
    assert gap.tolist() == [[0, math.inf, math.inf]] * 3
    assert torch.equal(pose, alike[:, :3])


def test_what_a_probe_asks_for_is_finite_and_leads_every_pattern_somewhere(setting):
    cells, photons, finder = setting
    ranked, gap = cells.enough(photons, finder.steps(cells.s_max, 2))
    assert 4 <= ranked <= 64
    assert math.isfinite(gap)
    assert gap >= 0
    (index, _), *others = CellProposals(
        cells.volume, cells.pixels, cells.encoder, cells.encoder_pixels, ranked, gap
    ).starts(photons)
    assert index.tolist() == list(range(len(photons)))
    assert len(others) <= 3


def test_a_probe_with_fewer_cells_apart_than_are_followed_asks_for_a_finite_gap(
    setting, monkeypatch
):
    cells, photons, finder = setting
    two = cells.encoder.cells.grid[[0, len(cells.encoder.cells.grid) // 2]]
    monkeypatch.setattr(
        CellProposals,
        "_cells",
        lambda _, some, number: two.repeat(number // 2, 1).expand(len(some), -1, -1),
    )
    monkeypatch.setattr(cells_of, "POSSIBLE", 1e6)  # as to patterns of few photons
    ranked, gap = cells.enough(photons, finder.steps(cells.s_max, 2))
    assert ranked == 4
    assert math.isfinite(gap)


def test_following_more_cells_never_finds_less_likely_poses(setting):
    cells, photons, finder = setting
    few, many = (
        finder.locate_in_cells(
            cells.volume,
            photons,
            CellProposals(cells.volume, cells.pixels, cells.encoder, cells.encoder_pixels, 64, gap),
            finder.s_edge,
        )
        for gap in (0.0, 1e4)
    )
    best = torch.stack([mode.loglik for mode in many]).max(0).values
    assert len(few) == 1
    assert len(many) > 1
    assert (best >= few[0].loglik - 1e-9).all()
    assert float((best > few[0].loglik + 1).double().mean()) > 0.2
