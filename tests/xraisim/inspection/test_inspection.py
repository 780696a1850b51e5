import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from xraisim.checks.validate import validate
from xraisim.core.errors import FormatError
from xraisim.core.types import Photons, Pixels
from xraisim.files.patterns import PatternReader, PatternWriter
from xraisim.inspection import sampling as inspection_sample
from xraisim.inspection.image import assemble, read_assembly
from xraisim.inspection.inspect import inspect
from xraisim.inspection.sampling import radial_profile, sample, spans
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry, pixel_positions

DETECTOR = Detector(rows=24, columns=20, pixel_size_mm=4.0, beamstop_radius_mm=6.0)
GEOMETRY = geometry(DETECTOR, Beam())
PIXELS = 24 * 20


def write(path: Path, counts: np.ndarray) -> Path:
    """Write dense counts [N, 480] as a pattern file."""
    row, pixel = np.nonzero(counts)
    lengths = np.bincount(row, minlength=len(counts)) if len(counts) else []
    with PatternWriter(
        path,
        detector=GEOMETRY,
        beam=Beam(),
        background=0.25,
        particle_diameter_angstrom=100.0,
        provenance={"structure": "<b>test</b>", "config": "patterns = 1\n", "versions": {"a": "1"}},
    ) as writer:
        writer.append(
            Photons(
                offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
                pixel=pixel.astype(np.int32),
                count=counts[row, pixel].astype(np.int32),
            )
        )
    return path


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    made = rng.poisson(rng.gamma(2, 0.3, (500, 1)) * np.ones(PIXELS))
    made[3, 7] = 700  # stored as three entries
    made[11] = 0
    return made


@pytest.fixture(scope="module")
def patterns(counts, tmp_path_factory):
    return write(tmp_path_factory.mktemp("inspect") / "patterns.h5", counts)


def test_a_flat_detector_is_its_own_picture():
    assembly = assemble(pixel_positions(DETECTOR))
    assert (assembly.pixel == np.arange(PIXELS).reshape(24, 20)).all()
    assert assembly.extent == pytest.approx((-40, 40, -48, 48))
    image = assembly.image(np.arange(PIXELS), GEOMETRY.mask)
    assert image.count() == len(GEOMETRY.good)
    assert image[0, 0] == 0
    assert image[-1, -1] == PIXELS - 1


def test_positions_that_are_only_declared_are_refused(patterns, tmp_path):
    path = tmp_path / "patterns.h5"
    path.write_bytes(patterns.read_bytes())
    with h5py.File(path, "r+") as file:
        for name in ("detector/position", "detector/mask"):
            del file[name]
            file.create_dataset(name, (10**12, 3), "f4", chunks=(64, 3))
    with pytest.raises(FormatError, match="declares"):
        read_assembly(path)
    assert any(finding.failed for finding in validate(path))


def panel(rows, columns, pitch, corner, turn_deg):
    """Positions of a panel whose first pixel lies at ``corner``, turned about it."""
    slow, fast = np.meshgrid(np.arange(rows) * pitch, np.arange(columns) * pitch, indexing="ij")
    angle = np.deg2rad(turn_deg)
    x = corner[0] + np.cos(angle) * fast - np.sin(angle) * slow
    y = corner[1] + np.sin(angle) * fast + np.cos(angle) * slow
    return np.stack([x, y, np.full_like(x, 100.0)], axis=-1).reshape(-1, 3)


def cell_of(assembly, position):
    left, right, bottom, top = assembly.extent
    rows, columns = assembly.pixel.shape
    column = (position[:, 0] - left) / (right - left) * columns
    row = (position[:, 1] - bottom) / (top - bottom) * rows
    return row.astype(int), column.astype(int)


def test_panels_with_a_gap_and_a_quarter_turn_are_where_they_lie():
    """Two 8 × 16 panels, one upside right, one turned by 90°, with 5 pixels between them."""
    first = panel(8, 16, 0.5, (1.0, 0.0), 0)
    second = panel(8, 16, 0.5, (-1.5, 0.0), 90)  # runs up along y and to the left
    position = np.concatenate([first, second])
    assembly = assemble(position)
    assert assembly.pixel[cell_of(assembly, position)].tolist() == list(range(256))
    gap = np.array([[-0.5, 1.0, 100.0], [0.3, 2.0, 100.0], [3.0, 6.0, 100.0]])
    assert (assembly.pixel[cell_of(assembly, gap)] == -1).all()
    assert assembly.gaps().sum() == assembly.pixel.size - 256


def test_a_million_pixels_at_one_place_are_one_cell():
    """No tree parts them: each query would look through all."""
    assembly = assemble(np.zeros((10**6, 3)))
    assert assembly.pixel.tolist() == [[0]]
    some = np.concatenate([np.zeros((10**6, 3)), panel(2, 2, 0.5, (1.0, 0.0), 0)])
    assert sorted(set(assemble(some).pixel.ravel())) == [-1, 0, *range(10**6, 10**6 + 4)]


@pytest.mark.parametrize("turn", [1.0, 17.0, 45.0])
def test_a_turned_panel_has_no_holes(turn):
    position = panel(30, 40, 0.2, (0.0, 0.0), turn)
    assembly = assemble(position)
    left, right, bottom, top = assembly.extent
    rows, columns = assembly.pixel.shape
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    angle = np.deg2rad(turn)
    fast = grid @ np.array([np.cos(angle), np.sin(angle)])
    slow = grid @ np.array([-np.sin(angle), np.cos(angle)])
    inside = (fast > 0) & (fast < 39 * 0.2) & (slow > 0) & (slow < 29 * 0.2)
    assert (assembly.pixel[inside] >= 0).all()
    drawn = assembly.pixel >= 0
    distance = np.linalg.norm(grid[drawn] - position[assembly.pixel[drawn], :2], axis=1)
    assert distance.max() <= 0.75 * 0.2 + 1e-9
    assert len(np.unique(assembly.pixel[drawn])) > 0.8 * len(position)


def test_large_detectors_get_coarser_cells(monkeypatch):
    monkeypatch.setattr("xraisim.inspection.image._MOST_CELLS", 10)
    assert assemble(pixel_positions(DETECTOR)).pixel.shape[0] <= 11


def test_the_window_is_where_the_usable_pixels_are():
    assembly = assemble(pixel_positions(DETECTOR))
    usable = (np.abs(GEOMETRY.position_mm[:, :2]) < 12).all(1)  # 3 pixels either way
    left, right, bottom, top = assembly.window(~usable)
    assert (left, right, bottom, top) == pytest.approx((-12.72, 12.72, -12.72, 12.72))
    assert assembly.window(np.ones(PIXELS, bool))[1] > 40


def test_the_sample_adds_up(patterns, counts):
    with PatternReader(patterns) as reader:
        taken = sample(reader)
    assert taken.looked_at == 500
    np.testing.assert_allclose(taken.mean, counts.mean(0))
    np.testing.assert_array_equal(taken.totals, counts[:, GEOMETRY.good].sum(1))
    np.testing.assert_array_equal(taken.counts, counts[taken.shown])
    assert taken.shown.tolist() == [0, 99, 199, 299, 399, 499]
    assert taken.brightest == 700


@pytest.mark.parametrize("most", [1, 7, 60, 499, 500, 10_000])
def test_blocks_are_spread_evenly(patterns, monkeypatch, most):
    monkeypatch.setattr(inspection_sample, "_BLOCK_PATTERNS", 16)
    with PatternReader(patterns) as reader:
        found = list(spans(reader, most))
    assert sum(stop - start for start, stop in found) == min(most, 500)
    assert all(0 < stop - start <= 16 for start, stop in found)
    edges = np.array(found)
    assert (edges[1:, 0] >= edges[:-1, 1]).all()
    assert edges[-1, 1] <= 500
    if len(found) > 1:
        assert edges[-1, 1] == 500
        assert np.ptp(edges[1:, 0] - edges[:-1, 1]) <= 1


def test_bright_files_are_sampled_more_thinly(patterns, counts, monkeypatch):
    monkeypatch.setattr(inspection_sample, "_MOST_ENTRIES", 5000)
    with PatternReader(patterns) as reader:
        taken = sample(reader)
    assert taken.looked_at < 100
    assert taken.mean.sum() == pytest.approx(counts.sum(1).mean(), rel=0.5)


def test_the_radial_profile_is_the_function_that_made_it():
    order = GEOMETRY.good[np.argsort(np.linalg.norm(GEOMETRY.s[GEOMETRY.good], axis=1))]
    tensors = {
        name: torch.from_numpy(values).float()
        for name, values in (
            ("s", GEOMETRY.s[order]),
            ("gain", GEOMETRY.gain[order]),
            ("background", np.full(len(order), 0.5)),
        )
    }
    pixels = Pixels(**tensors, index=torch.from_numpy(order), shape=(24, 20))
    radius = np.linalg.norm(GEOMETRY.s, axis=1)
    mean = np.where(GEOMETRY.mask, 1e9, 3.0 + 20 * radius)  # a masked pixel must not count
    found = radial_profile(pixels, mean)
    np.testing.assert_allclose(found.photons, 3.0 + 20 * found.s, rtol=1e-5)
    np.testing.assert_allclose(found.background, 0.5)
    assert (np.diff(found.s) > 0).all()


def test_figures_picture_and_page(patterns, counts, tmp_path):
    png, html = tmp_path / "a.png", tmp_path / "a.html"
    seen: list[int] = []
    found = inspect(patterns, png, page=html, progress=seen.append)
    totals = counts[:, GEOMETRY.good].sum(1)
    assert found.photons_per_pattern_mean == pytest.approx(totals.mean())
    assert found.photons_per_pattern_range == (totals.min(), totals.max())
    assert found.empty_patterns == 1
    assert found.background_per_pattern == pytest.approx(0.25 * len(GEOMETRY.good))
    assert found.bytes_per_photon == pytest.approx(patterns.stat().st_size / counts.sum())
    assert sum(seen) == 500
    assert png.read_bytes().startswith(b"\x89PNG")
    page = html.read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/") for source in sources)
    assert "<b>test</b>" not in page, "what a file says is text, not markup"
    assert "700 photons in one pattern" in page
    assert "patterns = 1" in page
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "a.png"]


def test_a_dark_file_can_be_looked_at(tmp_path):
    path = write(tmp_path / "dark.h5", np.zeros((3, PIXELS), int))
    found = inspect(path, tmp_path / "dark.png", page=tmp_path / "dark.html")
    assert found.empty_patterns == 3
    assert (tmp_path / "dark.html").exists()


def test_a_file_without_patterns_is_refused(tmp_path):
    path = write(tmp_path / "none.h5", np.zeros((0, PIXELS), int))
    with pytest.raises(FormatError, match="holds no patterns"):
        inspect(path, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
