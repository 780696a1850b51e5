"""The error of look-ups, by the spectrum, against look-ups of a field of known plane waves."""

import math

import pytest
import torch

from xraisim.core.closed_form.look_up import look_up_variance
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Volume

D = 100.0


def waves(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Forty distances inside the particle, and the phases of the waves they make."""
    random = torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(torch.randn(40, 3, generator=random), dim=1)
    distance = D * 0.9 * torch.rand(40, 1, generator=random).pow(1 / 3)
    return direction * distance, torch.rand(40, generator=random) * 2 * math.pi


def field(points: torch.Tensor) -> torch.Tensor:
    """1 + an even field of waves, at points [n, 3] in Å⁻¹."""
    distance, _ = waves(1)
    return 1 + torch.cos(2 * math.pi * points @ distance.T).mean(1)


def gridded(oversampling: float, half: int) -> Volume:
    spacing = 1 / (oversampling * D)
    axis = (torch.arange(2 * half + 1) - half) * spacing
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    values = field(points).reshape((2 * half + 1,) * 3)
    return Volume(values=values, spacing=spacing, kind="intensity")


@pytest.mark.parametrize("oversampling", [2.7, 4.0, 5.0])
def test_variance_is_that_of_look_ups_between_the_voxels(oversampling: float) -> None:
    said = look_up_variance(gridded(3.0, 26), D, (oversampling,))[0]
    coarse = gridded(oversampling, math.ceil(8.5 * oversampling))
    random = torch.Generator().manual_seed(2)
    points = torch.nn.functional.normalize(torch.randn(20000, 3, generator=random), dim=1)
    points = points * 8.0 / D * torch.rand(20000, 1, generator=random).pow(1 / 3)
    found = slice_volume(coarse.values, torch.eye(3)[None], points.contiguous(), coarse.spacing)[0]
    measured = float((found - field(points)).square().mean())
    assert said == pytest.approx(measured, rel=0.15)
