"""Size and shape are measured right on bodies whose shape is known."""

import math

import pytest
import torch

from benchmarks.studies.virus_twin import shape
from benchmarks.studies.virus_twin.compare import (
    align_with_body,
    angular,
    compare,
    structure_factors,
)
from xraisim.core import rotations, so3
from xraisim.core.align import Alignment
from xraisim.core.errors import SamplingError
from xraisim.core.fourier import to_density
from xraisim.core.random import generator
from xraisim.core.symmetry import angle_modulo_mate, point_group
from xraisim.core.types import Volume
from xraisim.sample.shapes import Body

GOLDEN = (1 + math.sqrt(5)) / 2
CAPSID = Body(shape="icosahedron", size_angstrom=365.0, material="protein")
BALL = Body(shape="sphere", size_angstrom=600.0, material="protein")


def volumes(body: Body, turn=None) -> tuple[Volume, Volume]:
    """Intensity and density to 87 Å of a body turned."""
    spacing = 1 / (4 * 694)
    F = structure_factors(body, 65, spacing, turn)
    density = to_density(F, spacing)
    return (
        Volume(values=F.abs() ** 2, spacing=spacing, kind="intensity"),
        Volume(values=density, spacing=1 / (65 * spacing), kind="density"),
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_an_icosahedron_has_corners_wherever_it_points(seed):
    turn = so3.haar(1, generator(seed, "turn"))[0].float()
    intensity, density = volumes(CAPSID, turn)
    corner, face = shape.corner_to_face(density, turn)
    # Corners are rounded at 87 Å: 347 and 276 Å without.
    assert face == pytest.approx(0.7558 * 365, rel=0.03)
    assert 1.12 < corner / face < 1.27
    rg = shape.radius_of_gyration_angstrom(density)
    assert rg == pytest.approx(365 * math.sqrt(3 * GOLDEN**2 / 20), rel=0.02)
    assert shape.volume_diameter_angstrom(intensity, 560.0) == pytest.approx(600, rel=0.03)


def test_a_sphere_has_none():
    intensity, density = volumes(BALL)
    corner, face = shape.corner_to_face(density)
    assert corner / face == pytest.approx(1, abs=0.02)
    assert face == pytest.approx(300, rel=0.02)
    assert shape.volume_diameter_angstrom(intensity, 640.0) == pytest.approx(600, rel=0.01)


def test_a_size_far_from_the_expected_one_is_not_invented():
    intensity, _ = volumes(BALL)
    with pytest.raises(SamplingError, match="give a better estimate"):
        shape.volume_diameter_angstrom(intensity, 900.0)


def test_the_frame_of_a_body_is_found_modulo_its_group():
    turn = so3.haar(1, generator(3, "turn"))[0].float()
    intensity, _ = volumes(CAPSID, turn)
    found = align_with_body(intensity, CAPSID, (0.0007, 0.0115))
    mates = rotations.multiply(point_group("I").float(), turn[None])
    assert float(torch.rad2deg(rotations.angle_between(mates, found.quaternion[None])).min()) < 1.0


def test_pose_errors_know_the_group_the_frame_and_the_mate():
    draw = generator(4, "poses")
    true, turn = so3.haar(50, draw).float(), so3.haar(1, draw).float()
    group = point_group("I").float()
    pick = torch.randint(60, (50,), generator=draw)
    found = rotations.multiply(rotations.multiply(true, group[pick]), turn)
    found[::2] = so3.in_plane_mate(found[::2])
    alignment = Alignment(quaternion=turn[0], score=1.0)
    assert float(angle_modulo_mate(alignment.to_reference_frame(found), true, group).max()) < 0.1
    assert (
        float(angle_modulo_mate(alignment.to_reference_frame(true), true, group[:1]).median()) > 20
    )


def test_a_round_particle_earns_nothing_for_its_radial_profile():
    intensity, density = volumes(BALL)
    left = angular(intensity.values)
    # The mean within a bin is 2 % from the value at each |s|; the shell mean would be 20 %.
    assert float(left.abs().sum() / intensity.values.sum()) < 0.03
    compared = compare(intensity, density, CAPSID, (0.0007, 0.0115))
    icc = torch.tensor(compared.curves[0].value)
    assert float(icc[4:].abs().mean()) < 0.2
