"""Band-limited fields: projection, spectra, and the estimate against a dense solution."""

import numpy as np
import pytest
import torch

from xraisim.core.closed_form.blur import sharpened, taps
from xraisim.core.closed_form.lattice import Lattice
from xraisim.core.closed_form.speckle import Speckle, measured_spectrum, overlap
from xraisim.core.random import generator

REACH = 1 / 2.7
CPU = torch.device("cpu")


def even(field: torch.Tensor) -> torch.Tensor:
    return (field + field.flip(0, 1, 2)) / 2


def random_field(speckle: Speckle, seed: int) -> torch.Tensor:
    """Return an even field with the spectrum of ``speckle``, filling its periodic grid."""
    lattice = speckle.lattice
    white = even(torch.randn((lattice.grid,) * 3, generator=generator(seed, "field")))
    # Even white noise has twice the variance of its parts.
    spectrum = speckle.power.sqrt() * lattice.transform(lattice.padded(white)) * 2**0.5
    return lattice.cut(lattice.back(spectrum))


@pytest.fixture(params=[15, 27])  # both fast sizes, so that nothing is padded
def speckle(request) -> Speckle:
    lattice = Lattice(request.param, REACH, CPU)
    assert lattice.size == request.param
    return Speckle(lattice, overlap(lattice.x))


def test_scalar_products_of_spectra_are_those_of_fields():
    for grid in (13, 15):  # 13 is padded to an even size, where one column has no double
        lattice = Lattice(grid, REACH, CPU)
        a, b = (even(torch.randn((grid,) * 3, generator=generator(i, "f"))) for i in (0, 1))
        spectra = [lattice.transform(lattice.padded(f)) for f in (a, b)]
        assert float(lattice.dot(*spectra)) == pytest.approx(float((a * b).sum()), rel=1e-4)
        assert torch.allclose(lattice.cut(lattice.back(spectra[0])), a, atol=1e-5)


def test_projection_is_idempotent(speckle):
    field = even(torch.randn((speckle.lattice.grid,) * 3, generator=generator(0, "white")))
    once = speckle.projected(field)
    assert float((once - field).norm()) > 0.5 * float(field.norm())
    assert torch.allclose(speckle.projected(once), once, atol=1e-5)


def test_projection_keeps_a_band_limited_field(speckle):
    field = random_field(speckle, 3)
    assert torch.allclose(speckle.projected(field), field, atol=1e-4)


def test_fields_have_unit_variance(speckle):
    squares = [float(random_field(speckle, seed).square().mean()) for seed in range(8)]
    assert sum(squares) / 8 == pytest.approx(1, rel=0.15)


def test_the_estimate_is_the_dense_solution():
    """(C⁻¹ + W) u = W y on the modes of the band, by a dense matrix."""
    lattice = Lattice(9, REACH, CPU)
    speckle = Speckle(lattice, overlap(lattice.x))
    random = generator(0, "dense")
    data = even(torch.randn((9, 9, 9), generator=random))
    weight = even(torch.rand((9, 9, 9), generator=random) * 3)
    unit = torch.eye(9**3).reshape(-1, 9, 9, 9)
    spectrum = torch.fft.fftfreq(9)
    x = (spectrum[:, None, None] ** 2 + spectrum[:, None] ** 2 + spectrum**2).sqrt() / REACH
    power = overlap(x)
    power = power / power.mean()
    covariance = torch.fft.ifftn(torch.fft.fftn(unit, dim=(1, 2, 3)) * power, dim=(1, 2, 3)).real
    C = covariance.reshape(9**3, 9**3).double()
    W, y = weight.reshape(-1).double(), data.reshape(-1).double()
    expected = C @ torch.linalg.solve(torch.eye(9**3).double() + W[:, None] * C, W * y)
    found = speckle.estimate(data, weight, 40)
    assert torch.allclose(found.reshape(-1).double(), expected, atol=1e-4)


def test_without_noise_the_estimate_is_the_field(speckle):
    field = random_field(speckle, 1)
    weight = torch.full_like(field, 1e4)
    assert float((speckle.estimate(field, weight, 30) - field).square().mean()) < 1e-3


def test_the_spectrum_is_found_again_under_noise():
    lattice = Lattice(45, REACH, CPU)
    true = Speckle(lattice, overlap(lattice.x / 0.8))
    field = random_field(true, 0)
    weight = torch.full_like(field, 0.5)
    noise = even(torch.randn(field.shape, generator=generator(0, "noise"))) * 2**0.5 / 0.5**0.5
    # Both go through the blur of trilinear weights, the noise with its aliases.
    blur = lattice.separable(lambda k: torch.sinc(k) ** 2)
    alias = lattice.separable(lambda k: ((2 + torch.cos(2 * torch.pi * k)) / 3).sqrt())
    spectra = [lattice.transform(lattice.padded(part)) for part in (field, noise)]
    data = lattice.cut(lattice.back(spectra[0] * blur + spectra[1] * alias))
    found = Speckle(lattice, measured_spectrum(lattice, data, weight, 1.1)).power
    near, far = lattice.x < 0.7, (lattice.x > 0.85) & (lattice.x < 1.1)
    gone = float((found - true.power)[near].abs().mean() / true.power[near].mean())
    assert gone < 0.15
    assert float(found[far].mean()) < 0.02 * float(true.power[near].mean())
    assert float(found[lattice.x >= 1.1].max()) == 0


def test_overlap_of_spheres():
    found = overlap(torch.tensor([0.0, 0.5, 1.0, 1.5]))
    assert found.tolist() == pytest.approx([1, 0.3125, 0, 0], abs=1e-6)


def test_taps_undo_the_tent():
    b0, b1, b2 = taps(0.37)
    k = np.linspace(0, 0.37, 50)
    product = np.sinc(k) ** 2 * (
        b0 + 2 * b1 * np.cos(2 * np.pi * k) + 2 * b2 * np.cos(4 * np.pi * k)
    )
    assert np.abs(product - 1).max() < 0.03
    assert b0 + 2 * b1 + 2 * b2 == pytest.approx(1)


def test_sharpening_leaves_a_constant_and_lifts_a_wave():
    flat = torch.full((11, 11, 11), 3.0)
    assert torch.allclose(sharpened(flat, 0.37), flat)
    axis = torch.arange(31) - 15.0
    wave = torch.cos(2 * torch.pi * 0.3 * axis)[:, None, None].expand(31, 31, 31).contiguous()
    lifted = sharpened(wave, 0.37)[5:-5]
    assert torch.allclose(lifted, wave[5:-5] / np.sinc(0.3) ** 2, atol=0.03)
