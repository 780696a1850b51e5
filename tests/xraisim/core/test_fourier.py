import math

import pytest
import torch

from xraisim.core import fourier
from xraisim.core.errors import SamplingError


def test_a_single_voxel_gives_the_direct_sum_with_a_positive_exponent():
    grid, voxel = 15, 2.0
    density = torch.zeros(grid, grid, grid)
    density[9, 5, 7] = 3.0
    position = (torch.tensor([9, 5, 7]) - grid // 2) * voxel
    spacing = fourier.reciprocal(grid, voxel)
    s = fourier.coordinates(grid, spacing)
    expected = 3.0 * voxel**3 * torch.exp(2j * math.pi * (s @ position))
    torch.testing.assert_close(
        fourier.to_structure_factors(density, voxel), expected, atol=1e-4, rtol=0
    )


def test_density_of_structure_factors_is_the_inverse():
    grid, voxel = 21, 3.5
    density = torch.randn(grid, grid, grid, generator=torch.Generator().manual_seed(1))
    factors = fourier.to_structure_factors(density, voxel)
    assert factors.dtype == torch.complex64
    back = fourier.to_density(factors, fourier.reciprocal(grid, voxel))
    torch.testing.assert_close(back, density, atol=1e-5, rtol=0)


def test_sphere_agrees_with_the_closed_form():
    # F(s) = 4π (sin x − x cos x) / (2πs)³ with x = 2πsR; voxels blur the surface at high s.
    grid, voxel, sphere = 81, 2.0, 40.0
    density = (fourier.radius(grid, voxel) <= sphere).float()
    found = fourier.to_structure_factors(density, voxel)
    spacing = fourier.reciprocal(grid, voxel)
    for step in range(1, 12):
        q = 2 * math.pi * step * spacing
        x = q * sphere
        expected = 4 * math.pi * (math.sin(x) - x * math.cos(x)) / q**3
        volume = 4 / 3 * math.pi * sphere**3
        value = found[grid // 2 + step, grid // 2, grid // 2]
        assert abs(value.real.item() - expected) < 0.01 * volume
        assert abs(value.imag.item()) < 1e-4 * volume


def test_cropping_undoes_padding_about_the_same_centre():
    volume = torch.randn(9, 9, 9)
    padded = fourier.crop_or_pad(volume, 15)
    assert padded[7, 7, 7] == volume[4, 4, 4]
    torch.testing.assert_close(fourier.crop_or_pad(padded, 9), volume)


def test_even_grids_are_refused():
    with pytest.raises(SamplingError, match="odd"):
        fourier.to_structure_factors(torch.zeros(8, 8, 8), 1.0)
