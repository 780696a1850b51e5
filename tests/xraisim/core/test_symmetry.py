"""Point groups against closed forms; averages, directions and poses modulo a group."""

import math

import pytest
import torch

from xraisim.core import rotations, so3, symmetry
from xraisim.core.errors import ConfigError
from xraisim.core.fourier import coordinates, radius
from xraisim.core.random import generator
from xraisim.core.sampling import slice_volume

GOLDEN = (1 + math.sqrt(5)) / 2
ORDERS = {"C1": 1, "C2": 2, "C7": 7, "D1": 2, "D2": 4, "D5": 10, "T": 12, "O": 24, "I": 60}
GENERIC = (0.3, -0.5, 0.7)


def orbit(direction, group: torch.Tensor) -> torch.Tensor:
    """Return the distinct images of one direction under the group."""
    vector = torch.nn.functional.normalize(torch.tensor(direction, dtype=torch.float64), dim=0)
    images = rotations.to_matrix(group) @ vector
    first = torch.cdist(images, images).lt(1e-6).double().argmax(1)
    return images[first.unique()]


def fold_about(axis, group: torch.Tensor) -> int:
    """Return how many elements leave ``axis`` where it is."""
    vector = torch.nn.functional.normalize(torch.tensor(axis, dtype=torch.float64), dim=0)
    return int(((rotations.to_matrix(group) @ vector - vector).norm(dim=1) < 1e-9).sum())


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_elements_form_a_group(name, order):
    group = symmetry.point_group(name)
    assert len(group) == len(orbit(GENERIC, group)) == order
    assert torch.equal(group[0], torch.tensor([1.0, 0.0, 0.0, 0.0]).double())
    products = rotations.multiply(group[:, None], group[None]).reshape(-1, 1, 4)
    which = rotations.angle_between(products, group[None])
    assert float(which.min(1).values.max()) < 1e-9  # closed
    table = which.argmin(1).reshape(order, order)
    assert torch.equal(table.sort(0).values, torch.arange(order)[:, None].expand(order, order))
    assert (table == 0).any(1).all()  # inverses


@pytest.mark.parametrize(
    ("name", "axis", "fold", "images"),
    [
        ("C7", (0, 0, 1), 7, 1),
        ("D5", (0, 0, 1), 5, 2),
        ("D5", (1, 0, 0), 2, 5),
        ("T", (0, 0, 1), 2, 6),
        ("T", (1, 1, 1), 3, 4),
        ("T", (-1, -1, -1), 3, 4),
        ("O", (1, 0, 0), 4, 6),
        ("O", (1, 1, 1), 3, 8),
        ("O", (1, 1, 0), 2, 12),
        ("I", (0, 0, 1), 2, 30),
        ("I", (0, 1, 0), 2, 30),
        ("I", (0, 1, GOLDEN), 5, 12),  # front-most vertices in the yz plane ...
        ("I", (1 / GOLDEN, 0, GOLDEN), 3, 20),  # ... and threefold axes in the xz plane
        ("I", (1, 0, GOLDEN), 1, 60),  # the other ("Crowther") setting's vertices
    ],
)
def test_axes_lie_where_the_setting_puts_them(name, axis, fold, images):
    group = symmetry.point_group(name.lower())
    assert fold_about(axis, group) == fold
    assert len(orbit(axis, group)) == images


@pytest.mark.parametrize("name", ["C0", "C100", "D", "Ih", "X3", ""])
def test_unknown_groups_are_refused(name):
    with pytest.raises(ConfigError, match=r"unknown point group .* known: C1 .* T, O, I"):
        symmetry.point_group(name)


def test_average_over_permutations_of_the_grid_is_exact():
    values = torch.rand(11, 11, 11, generator=generator(0, "cube"))
    ball = radius(11, 1.0) < 5
    found = symmetry.symmetrize(values, symmetry.point_group("O"))
    assert torch.equal(found[~ball], values[~ball])
    turned = [torch.rot90(values, k, (0, 1)) for k in range(4)]
    mean = torch.stack(turned).mean(0)
    c4 = symmetry.symmetrize(values, symmetry.point_group("C4"))
    assert torch.allclose(c4[ball], mean[ball], atol=1e-6)
    for axes in ((0, 1), (0, 2), (1, 2)):
        assert torch.allclose(torch.rot90(found, 1, axes)[ball], found[ball], atol=1e-6)
    assert symmetry.symmetrize(values, symmetry.point_group("C1")) is values


def test_average_over_other_turns_interpolates():
    # Linear functions are interpolated exactly, and only their part along the axis survives.
    x, y, z = coordinates(15, 1.0).unbind(-1)
    found = symmetry.symmetrize(x + 2 * y + 4 * z + 3, symmetry.point_group("C7"))
    ball = radius(15, 1.0) < 7
    assert torch.allclose(found[ball], (4 * z + 3)[ball], atol=1e-5)
    # A polyhedral group leaves of s sᵀ only the trace; between voxels the interpolant of
    # x² is too high by 1/4 at most.
    found = symmetry.symmetrize(x**2, symmetry.point_group("I"))
    error = (found - radius(15, 1.0) ** 2 / 3)[ball & (radius(15, 1.0) > 0)]
    assert -1e-4 < float(error.min()) < float(error.max()) < 0.25


@pytest.mark.parametrize("name", ["C1", "C4", "D3", "T", "O", "I"])
def test_directions_cover_each_orbit_once(name):
    group, n = symmetry.point_group(name), 3000
    kept = symmetry.asymmetric_directions(n, group).double()
    assert len(kept) == pytest.approx(n / len(group), rel=0.03)
    assert torch.allclose(kept.norm(dim=1), torch.ones(len(kept)).double(), atol=1e-6)
    images = torch.einsum("gij,dj->gdi", rotations.to_matrix(group), kept)
    own = (images[1:, :, None] - kept).norm(dim=-1)  # of every image but itself to all kept
    assert own.numel() == 0 or float(own.min()) > 1e-3  # no two are mates, none is on an axis
    # The triangular lattice, the best there is, has gaps of 0.62 √(4π/n); seams widen them.
    probe = torch.nn.functional.normalize(
        torch.randn(400, 3, generator=generator(0, "probe")).double(), dim=1
    )
    gap = torch.cdist(probe, images.reshape(-1, 3)).min(1).values
    assert float(gap.max()) < 1.2 * math.sqrt(4 * math.pi / n)
    within = (probe @ images.reshape(-1, 3).T > math.cos(0.3)).sum(1)
    expected = n * (1 - math.cos(0.3)) / 2
    # Of 67 expected; random directions would scatter by 12 % and reach 35 % somewhere.
    assert float((within / expected - 1).abs().max()) < 0.15


def test_directions_need_at_least_one():
    with pytest.raises(ValueError, match="at least one, found n = 0"):
        symmetry.asymmetric_directions(0, symmetry.point_group("C1"))


def test_nearest_mate_is_the_best_of_all():
    group = symmetry.point_group("I")
    pose = so3.haar(40, generator(0, "pose"))
    reference = so3.haar(40, generator(1, "pose"))
    mate, angle = symmetry.nearest_mate(pose, reference, group)
    every = rotations.multiply(pose[:, None], group[None].float())
    assert torch.allclose(
        angle, rotations.angle_between(every, reference[:, None]).min(1).values, atol=1e-5
    )
    among = rotations.angle_between(every, mate[:, None]).min(1).values
    assert float(among.max()) < 1e-3
    assert torch.allclose(angle, rotations.angle_between(mate, reference), atol=1e-6)


@pytest.mark.parametrize("name", ["C1", "C4", "D3", "T", "O", "I"])
def test_mates_share_one_view_of_the_asymmetric_unit(name):
    group = symmetry.point_group(name)
    pose = so3.haar(40, generator(0, "pose"))
    every = rotations.multiply(pose[:, None], group.float())
    chosen = symmetry.asymmetric_mate(every, group)
    same = rotations.angle_between(chosen, chosen[:, :1])
    assert float(same.max()) < 1e-3
    assert float(rotations.angle_between(every, chosen[:, :1]).min(1).values.max()) < 1e-3
    # Nearer to some direction of the unit than the grid is wide; other units begin beyond it.
    view = rotations.to_matrix(chosen[:, 0])[:, 2]
    unit = symmetry.asymmetric_directions(6000, group)
    assert float((view @ unit.T).max(1).values.min()) > math.cos(0.05)


def test_mates_give_the_same_pattern():
    """V(g s) = V(s) makes R and R·g one orientation: twelve blobs on an icosahedron's vertices."""
    group = symmetry.point_group("I")
    vertices = 9 * orbit((0, 1, GOLDEN), group).float()
    voxel = coordinates(31, 1.0)
    values = sum(torch.exp(-(voxel - v).square().sum(-1) / 18) for v in vertices)
    s = torch.nn.functional.normalize(torch.randn(200, 3, generator=generator(0, "s")), dim=1) * 9
    pose = so3.haar(1, generator(2, "pose"))

    def patterns(poses):
        return slice_volume(values, rotations.to_matrix(poses), s, 1.0)

    def furthest(poses):
        return float((patterns(poses) - patterns(pose)).abs().max())

    element = group.float()[17][None]
    assert furthest(rotations.multiply(pose, element)) < 0.03
    assert furthest(rotations.multiply(element, pose)) > 0.2
    truth = rotations.multiply(pose, rotations.from_rotation_vector(torch.tensor([[0.0, 0.02, 0]])))
    found = rotations.multiply(truth, element)
    assert float(symmetry.nearest_mate(found, truth, group)[1]) < 1e-3
