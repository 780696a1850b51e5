import itertools

import pytest
import torch

from baselines.phasing import iterate
from baselines.phasing.projections import Modulus, project_support
from xraisim.core.errors import ConfigError
from xraisim.core.types import Volume

GRID, SPACING = 21, 0.01


def _random(seed):
    return torch.randn(GRID, GRID, GRID, generator=torch.Generator().manual_seed(seed))


def _modulus(s_range=(0.025, 0.09)):
    spectrum = torch.fft.fftshift(torch.fft.fftn(_random(1)))
    intensity = Volume(values=spectrum.abs() ** 2, spacing=SPACING, kind="intensity")
    return Modulus.from_intensity(intensity, s_range)


def _support():
    support = torch.zeros(GRID, GRID, GRID, dtype=torch.bool)
    support[3:12, 4:13, 5:14] = True
    return support


def test_modulus_projection_sets_known_amplitudes_keeps_free_ones_and_clears_the_rest():
    modulus, density = _modulus(), _random(2)
    before, after = torch.fft.rfftn(density), torch.fft.rfftn(modulus(density))
    known, free = modulus.known, modulus.free
    torch.testing.assert_close(after.abs()[known], modulus.amplitude[known], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(after[known].angle(), before[known].angle(), rtol=0, atol=1e-2)
    torch.testing.assert_close(after[free], before[free], rtol=1e-4, atol=1e-3)
    assert after[~(known | free)].abs().max() < 1e-3 * before.abs().max()
    assert free.any()


@pytest.mark.parametrize("name", ["modulus", "support"])
def test_projections_are_idempotent_and_nearest(name):
    modulus, support = _modulus(), _support()

    def project(density):
        return modulus(density) if name == "modulus" else project_support(density, support)

    density = _random(3)
    once = project(density)
    torch.testing.assert_close(project(once), once, rtol=0, atol=1e-4)
    distance = (density - once).norm()
    for seed in range(4, 9):
        # No other member of the set lies nearer than the projection.
        member = project(density + 0.3 * _random(seed))
        assert (density - member).norm() >= distance - 1e-4


def test_error_reduction_never_increases_the_error():
    modulus, support = _modulus(), _support()
    density = _random(10)
    errors = []
    for _ in range(15):
        projected = modulus(density)
        errors.append(float((projected - density).norm()))
        density = iterate.STEPS["er"](density, projected, support, 0.9)
    assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(errors))
    assert errors[-1] < 0.9 * errors[1]


def test_hio_and_raar_agree_with_their_definitions():
    before, projected, support, beta = _random(11), _random(12), _support(), 0.8
    hio = iterate.STEPS["hio"](before, projected, support, beta)
    obeys = support & (projected > 0)
    assert torch.equal(hio[obeys], projected[obeys])
    torch.testing.assert_close(hio[~obeys], (before - beta * projected)[~obeys])

    reflected = 2 * projected - before  # R_M x
    twice = 2 * project_support(reflected, support) - reflected  # R_S R_M x
    luke = beta / 2 * (twice + before) + (1 - beta) * projected
    torch.testing.assert_close(iterate.STEPS["raar"](before, projected, support, beta), luke)


@pytest.mark.parametrize("name", ["er", "hio", "raar"])
def test_a_solution_is_a_fixed_point_of_every_step(name):
    support = _support()
    solution = project_support(_random(1).abs(), support)
    spectrum = torch.fft.fftshift(torch.fft.fftn(solution)).abs() ** 2
    volume = Volume(values=spectrum, spacing=SPACING, kind="intensity")
    modulus = Modulus.from_intensity(volume, (0.0, 1.0))
    after = iterate.STEPS[name](solution, modulus(solution), support, 0.9)
    torch.testing.assert_close(after, solution, rtol=0, atol=1e-4)
    assert modulus.r_factor(solution) < 1e-5
    assert modulus.r_factor(_random(13)) > 0.2


def test_schedules_are_written_out_and_bad_ones_explained():
    assert iterate.parse("2 x (2 raar, 1 er), 1 hio") == ["raar", "raar", "er"] * 2 + ["hio"]
    for bad in ("", "3 rar", "x (2 er)", "0 er"):
        with pytest.raises(ConfigError, match="schedule"):
            iterate.parse(bad)
