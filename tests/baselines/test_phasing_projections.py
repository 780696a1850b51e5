import itertools
import math

import pytest
import torch

from baselines.phasing import iterate, projections
from baselines.phasing.projections import Modulus, project_support
from baselines.phasing.schedule import parse
from baselines.phasing.transforms import fast_grid, forward, to_centred
from xraisim.core.errors import ConfigError
from xraisim.core.types import Volume

SIZE, GRID, SPACING = 21, 24, 0.01
FLOORS = (0.0, -math.inf)


def _random(seed, batch=1):
    return torch.randn(batch, GRID, GRID, GRID, generator=torch.Generator().manual_seed(seed))


def _modulus(s_range=(0.025, 0.09), **options):
    spectrum = to_centred(forward(_random(1)), SIZE)[0]
    intensity = Volume(values=spectrum.abs() ** 2, spacing=SPACING, kind="intensity")
    return Modulus.from_intensity(intensity, s_range, GRID, **options)


def _support():
    support = torch.zeros(1, GRID, GRID, GRID, dtype=torch.bool)
    support[:, 3:12, 4:13, 5:14] = True
    return support


def test_modulus_projection_holds_known_amplitudes_and_leaves_the_rest_free():
    modulus, density = _modulus(), _random(2)
    before, after = forward(density), forward(modulus(density))
    known = modulus.weight[None] == 1
    target = modulus.amplitude[None]
    torch.testing.assert_close(after.abs()[known], target[known], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(after[known].angle(), before[known].angle(), rtol=0, atol=1e-2)
    torch.testing.assert_close(after[~known], before[~known], rtol=1e-4, atol=1e-3)
    assert (~known)[0, 0, 0, :2].all()  # behind the beamstop
    assert (~known)[0, 11].all()  # beyond the edge

    cleared = forward(_modulus(free_beyond=False)(density))
    assert cleared[0, 11].abs().max() < 1e-3 * before.abs().max()
    torch.testing.assert_close(cleared[0, 0, 0, :2], before[0, 0, 0, :2], rtol=1e-4, atol=1e-3)


def test_masked_voxels_are_free_and_half_trusted_ones_go_half_way():
    weight = torch.ones(SIZE, SIZE, SIZE)
    weight[15], weight[5] = 0.0, 0.0  # k_x = ±5, so that Friedel's law still holds
    weight[16], weight[4] = 0.5, 0.5
    modulus, density = _modulus(weight=weight), _random(2)
    before, after = forward(density)[0], forward(modulus(density))[0]
    torch.testing.assert_close(after[5, :5, 1:5], before[5, :5, 1:5], rtol=1e-4, atol=1e-3)
    half = (before[6].abs() + modulus.amplitude[6]) / 2
    torch.testing.assert_close(after[6, :5, 1:5].abs(), half[:5, 1:5], rtol=1e-4, atol=1e-3)


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


def test_compiled_modulus_agrees_with_its_plain_form():
    modulus, batch = _modulus(), 2
    factors = forward(_random(20, batch))
    plain = factors.clone()
    projections.impose(factors, modulus.amplitude, modulus.weight)
    projections.impose_reference(plain, modulus.amplitude, modulus.weight)
    torch.testing.assert_close(factors, plain, rtol=1e-5, atol=1e-4)

    shells = int(modulus.shell.max()) + 1
    background = 5 + torch.rand(batch, shells, generator=torch.Generator().manual_seed(1)) * 30
    other = background.clone()
    held = modulus.amplitude, modulus.weight, modulus.shell
    projections.impose_with_background(factors, *held, background)
    projections.impose_with_background_reference(plain, *held, other)
    torch.testing.assert_close(factors, plain, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(background, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("beta", [0.8, 1.0])
@pytest.mark.parametrize("name", list(iterate.REFERENCE))
def test_compiled_steps_agree_with_their_plain_forms(name, beta, floor):
    modulus, support = _modulus(), _support().repeat(2, 1, 1, 1)
    x, p = _random(11, 2), _random(12, 2)
    plain = iterate.REFERENCE[name](x, p, support, beta, floor, modulus)
    fast = iterate.step(name, x.clone(), p, support, beta, floor, modulus)
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4)


def test_error_reduction_never_increases_the_error():
    modulus, support = _modulus(), _support()
    density = project_support(_random(10), support)
    errors = []
    for _ in range(15):
        projected = modulus(density)
        errors.append(float((projected - density).norm()))
        density = iterate.step("er", density, projected, support, 0.9, 0.0, modulus)
    assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(errors))
    assert errors[-1] < 0.9 * errors[1]


def test_hio_and_raar_agree_with_their_definitions():
    before, projected, support, beta = _random(11), _random(12), _support(), 0.8
    modulus = _modulus()
    hio = iterate.REFERENCE["hio"](before, projected, support, beta, 0.0, modulus)
    obeys = support & (projected > 0)
    assert torch.equal(hio[obeys], projected[obeys])
    torch.testing.assert_close(hio[~obeys], (before - beta * projected)[~obeys])

    reflected = 2 * projected - before  # R_M x
    twice = 2 * project_support(reflected, support) - reflected  # R_S R_M x
    luke = beta / 2 * (twice + before) + (1 - beta) * projected
    raar = iterate.REFERENCE["raar"](before, projected, support, beta, 0.0, modulus)
    torch.testing.assert_close(raar, luke)


def test_difference_map_agrees_with_its_definition():
    x, support, beta, modulus = _random(11), _support(), 0.7, _modulus()

    def relaxed(project, gamma):  # Elser 2003, eq. 5: f = (1 + γ) π − γ
        return (1 + gamma) * project(x) - gamma * x

    inner = project_support(relaxed(modulus, 1 / beta), support)
    outer = modulus(relaxed(lambda y: project_support(y, support), -1 / beta))
    elser = x + beta * (inner - outer)
    found = iterate.REFERENCE["dm"](x, modulus(x), support, beta, 0.0, modulus)
    torch.testing.assert_close(found, elser, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", list(iterate.REFERENCE))
def test_a_solution_is_a_fixed_point_of_every_step(name):
    support = _support()
    solution = project_support(_random(1).abs(), support)
    spectrum = to_centred(forward(solution), SIZE + 2)[0].abs() ** 2
    volume = Volume(values=spectrum, spacing=SPACING, kind="intensity")
    modulus = Modulus.from_intensity(volume, (0.0, 1.0), GRID)
    after = iterate.step(name, solution.clone(), modulus(solution), support, 0.9, 0.0, modulus)
    torch.testing.assert_close(after, solution, rtol=0, atol=1e-4)
    assert modulus.r_factors(solution)[0] < 1e-5
    assert modulus.r_factors(_random(13))[0] > 0.2


def test_schedules_are_written_out_and_bad_ones_explained():
    known = iterate.REFERENCE
    assert parse("2 x (2 raar, 1 er), 1 dm", known) == ["raar", "raar", "er"] * 2 + ["dm"]
    for bad in ("", "3 rar", "x (2 er)", "0 er"):
        with pytest.raises(ConfigError, match="schedule"):
            parse(bad, known)


def test_grids_are_even_and_have_small_factors():
    assert [fast_grid(n) for n in (107, 113, 121, 122, 128)] == [108, 120, 126, 126, 128]
