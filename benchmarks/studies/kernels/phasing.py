"""Cases of :mod:`baselines.phasing`: the two projections, and a step of each algorithm."""

import torch

from baselines.phasing.iterate import REFERENCE, step
from baselines.phasing.projections import (
    impose,
    impose_reference,
    impose_with_background,
    impose_with_background_reference,
)
from benchmarks.studies.kernels.cases import Pair, timed
from benchmarks.studies.kernels.inputs import draw
from xraisim.core.radial import shell_numbers

_KERNELS = "baselines.phasing.kernels"
_BETA = 0.9
_STARTS = 2


def _factors(grid: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return factors of two starts, √I and a weight that is 0 in a tenth."""
    shape = grid, grid, grid // 2 + 1
    factors = torch.randn(_STARTS, *shape, dtype=torch.complex64, generator=draw())
    amplitude = torch.rand(shape, generator=draw(1))
    return factors, amplitude, (torch.rand(shape, generator=draw(2)) > 0.1).float()


@timed(f"{_KERNELS}.projections.impose", size=200, tiny=12)
def modulus(grid: int) -> Pair:
    """Impose a measured amplitude."""
    factors, amplitude, weight = _factors(grid)

    def fast(copy: torch.Tensor) -> torch.Tensor:
        impose(copy, amplitude, weight)
        return torch.view_as_real(copy)

    def plain(copy: torch.Tensor) -> torch.Tensor:
        impose_reference(copy, amplitude, weight)
        return torch.view_as_real(copy)

    return Pair(fast=fast, reference=plain, arguments=lambda: (factors.clone(),))


@timed(f"{_KERNELS}.projections.impose_with_background", size=201, tiny=13)
def modulus_with_background(grid: int) -> Pair:
    """Impose a measured amplitude beside a background of each shell."""
    factors, amplitude, weight = _factors(grid)
    shell = shell_numbers(grid)[..., : grid // 2 + 1].to(torch.int16).contiguous()
    level = torch.full((_STARTS, int(shell.max()) + 1), 0.2)
    held = amplitude, weight, shell

    def fast(copy: torch.Tensor, background: torch.Tensor) -> list[torch.Tensor]:
        impose_with_background(copy, *held, background)
        return [torch.view_as_real(copy), background]

    def plain(copy: torch.Tensor, background: torch.Tensor) -> list[torch.Tensor]:
        impose_with_background_reference(copy, *held, background)
        return [torch.view_as_real(copy), background]

    return Pair(fast=fast, reference=plain, arguments=lambda: (factors.clone(), level.clone()))


def _step(name: str, grid: int) -> Pair:
    """Return one step from two starts; the second projection of ``dm`` is left out."""
    shape = _STARTS, grid, grid, grid
    x, p = (torch.randn(shape, generator=draw(seed)) for seed in (0, 1))
    support = torch.rand(shape, generator=draw(2)) < 0.2
    rest = p, support, _BETA, 0.0, lambda density: density
    return Pair(
        fast=lambda density: step(name, density, *rest),
        reference=lambda density: REFERENCE[name](density, *rest),
        arguments=lambda: (x.clone(),),
    )


@timed(f"{_KERNELS}.iterate.error_reduction", size=200, tiny=12)
def error_reduction(grid: int) -> Pair:
    """Return a step of error reduction."""
    return _step("er", grid)


@timed(f"{_KERNELS}.iterate.hybrid_input_output", size=200, tiny=12)
def hybrid_input_output(grid: int) -> Pair:
    """Return a step of hybrid input-output."""
    return _step("hio", grid)


@timed(f"{_KERNELS}.iterate.relaxed_reflections", size=200, tiny=12)
def relaxed_reflections(grid: int) -> Pair:
    """Return a step of relaxed averaged alternating reflections."""
    return _step("raar", grid)


@timed(
    f"{_KERNELS}.iterate.difference_map", f"{_KERNELS}.iterate.support_estimate",
    size=200, tiny=12,
)  # fmt: skip
def difference_map(grid: int) -> Pair:
    """Return a step of the difference map."""
    return _step("dm", grid)
