"""Rings, their harmonics, and how pixels are interpolated from them."""

import math
from dataclasses import replace

import pytest
import torch

from baselines.emc.polar import PolarGrid
from xraisim.core.errors import SamplingError

WAVELENGTH_ANGSTROM = 2.7


def _grid(pixels, **changes):
    settings = {"angles": 12, "rings_per_speckle": 4.0, "band": 1.0} | changes
    return PolarGrid.of(pixels, 60.0, **settings)


def test_rings_are_as_dense_as_asked_for_and_span_the_pixels(pixels):
    for density in (3.0, 4.0):
        grid = _grid(pixels, rings_per_speckle=density)
        step = grid.radius.diff()
        assert float(step.max()) <= 1 / (60.0 * density) * (1 + 1e-4)
        assert float(step.std()) < 1e-4 * float(step.mean())
    assert float(grid.radius[0]) == pytest.approx(float(pixels.radius[0]), rel=1e-6)
    assert float(grid.radius[-1]) == pytest.approx(float(pixels.radius[-1]), rel=1e-6)
    assert grid.rings_within(float(pixels.radius[-1])) == grid.rings
    assert grid.rings_within(0.0) == 0


def test_rings_are_no_denser_than_pixels_fill_them(pixels):
    far, near = float(pixels.radius[-1]), float(pixels.radius[0])
    spacing = math.sqrt(math.pi * (far**2 - near**2) / len(pixels))
    dense = _grid(pixels, rings_per_speckle=1000.0)
    assert float(dense.radius.diff().min()) >= min(spacing, 1 / (4 * 60.0)) * 0.9
    few = replace(
        pixels, s=pixels.s[::40], gain=pixels.gain[::40], background=pixels.background[::40],
        index=pixels.index[::40],
    )  # fmt: skip
    assert _grid(few, rings_per_speckle=1000.0).rings == _grid(few, rings_per_speckle=4.0).rings


def test_limits_follow_the_speckles(pixels):
    narrow, wide = _grid(pixels), _grid(pixels, band=1.5)
    expected = 2 * math.pi * 60.0 * narrow.radius + 8
    assert ((narrow.limits - expected).abs() <= 1).all()
    assert ((wide.limits - 8).float() / (narrow.limits - 8)).tolist()[-1] == pytest.approx(1.5, 0.1)
    for band in narrow.bands:
        assert band.azimuths >= 2 * int(narrow.limits[band.rings].max()) + 2


def test_points_lie_on_the_ewald_sphere_of_the_pixels(pixels):
    """|s − k| stays |k| for k = −z/λ, and each ring has its radius."""
    grid = _grid(pixels)
    points = grid.points.double()
    beam = torch.tensor([0.0, 0.0, -1 / WAVELENGTH_ANGSTROM], dtype=torch.float64)
    torch.testing.assert_close(
        (points - beam).norm(dim=1), torch.full((len(points),), 1 / WAVELENGTH_ANGSTROM).double(),
        rtol=1e-6, atol=0,
    )  # fmt: skip
    radius = grid.radius.double()[grid.ring_of_point]
    torch.testing.assert_close(points.norm(dim=1), radius, rtol=1e-5, atol=0)
    assert grid.points_within(float(grid.radius[3])) == int((grid.ring_of_point <= 3).sum())


def test_pixels_off_the_sphere_are_refused(pixels):
    bent = pixels.s.clone()
    bent[: len(bent) // 2, 2] += 0.1 * pixels.radius[: len(bent) // 2]
    with pytest.raises(SamplingError, match=r"off one Ewald sphere.*dense"):
        _grid(replace(pixels, s=bent))


def test_weights_reproduce_cubics_at_every_pixel(pixels):
    grid = _grid(pixels)
    place = (pixels.radius.double() - grid.radius[0]) / (grid.radius[1] - grid.radius[0]).double()
    node = grid.inner[:, None].double() + torch.arange(4)
    assert int(grid.inner.min()) >= 0
    assert int(grid.inner.max()) + 3 < grid.rings
    for power in range(4):
        found = (grid.weight.double() * (node / 10) ** power).sum(1)
        torch.testing.assert_close(found, (place / 10) ** power, rtol=1e-4, atol=1e-4)


def test_transform_and_inverse_undo_each_other(polar):
    draw = torch.Generator().manual_seed(0)
    order = torch.arange(polar.highest + 1)
    kept = order <= polar.limits[:, None]
    harmonics = torch.randn(3, *kept.shape, dtype=torch.complex64, generator=draw) * kept
    harmonics[..., 0] = harmonics[..., 0].real + 0j
    values = polar.inverse(harmonics)
    points = torch.bincount(polar.ring_of_point)
    again = polar.transform(values) * points[:, None]
    doubled = torch.where(order > 0, 2.0, 1.0)
    torch.testing.assert_close(again, harmonics * doubled, rtol=1e-4, atol=1e-3)
    per_ring = values.new_zeros(3, polar.rings).index_add_(1, polar.ring_of_point, values)
    torch.testing.assert_close(per_ring, harmonics[..., 0].real, rtol=1e-4, atol=1e-3)


def test_transform_gives_the_amplitudes_of_a_wave(polar):
    azimuth = torch.atan2(polar.points[:, 1], polar.points[:, 0])
    found = polar.transform((2 + 3 * (5 * azimuth - 0.4).cos())[None])[0]
    expected = torch.zeros_like(found)
    expected[:, 0], expected[:, 5] = 2, 3 * torch.exp(torch.tensor(-0.4j))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_columns_pack_every_harmonic_of_every_ring_once(polar):
    """Each order holds the rings that reach it, and the exposure ring."""
    assert sorted(polar.orders) == list(range(polar.highest + 1))
    ends = [start + 2 * length for start, length in polar.columns]
    assert [start for start, _ in polar.columns] == [0, *ends[:-1]]
    assert ends[-1] == polar.width
    for m, (_, length) in zip(polar.orders, polar.columns, strict=True):
        assert length == int((polar.limits >= m).sum()) + 1


def test_waves_of_the_second_half_turn_follow_by_parity(polar):
    angle = 2 * math.pi * torch.arange(polar.angles, dtype=torch.float64) / polar.angles
    for even in (True, False):
        orders = torch.tensor([m for m in polar.orders if (m % 2 == 0) == even])
        phase = angle[:, None] * orders
        exact = torch.stack([phase.cos(), phase.sin()], -1).flatten(1).float()
        half = polar.waves(even, "cpu")
        sign = 1 if even else -1
        torch.testing.assert_close(torch.cat([half, sign * half]), exact, rtol=0, atol=1e-5)
