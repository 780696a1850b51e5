"""Point groups of rotations: their elements, averages over them, directions and poses modulo them.

A particle with point group 𝒢 has V(g s) = V(s) for every g in 𝒢. As pattern(s) = V(Rᵀ s), the
orientations R and R·g then give the same pattern, and a view direction Rᵀz the same as g·Rᵀz.
Settings are those of Heymann, Chagoyen & Belnap (2005); docs/explanation/conventions.md lists them.
"""

import math
import re

import torch
from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations, so3
from xraisim.core.errors import ConfigError
from xraisim.core.fourier import coordinates, radius, require_odd
from xraisim.core.sampling import slice_volume

_GOLDEN = (1 + math.sqrt(5)) / 2
_X, _Z, _DIAGONAL = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0)
_FIVEFOLD = (0.0, 1.0, _GOLDEN)  # the front-most vertices of "I222" lie in the yz plane
# Elements of one group are further apart than this (C99: 3.6°); rounding is far smaller.
_SAME_RAD = 1e-6
# The middle of a cell that two-, three- and fivefold axes of I enclose, so that no axis of any
# group passes near it.
_REFERENCE = (0.1258, 0.1850, 0.9747)
_SAMPLES = 2**22  # interpolated at once, which bounds the memory


def point_group(name: str) -> Float[Tensor, "n 4"]:
    """Return the rotations of point group C1 … C99, D1 … D99, T, O or I as quaternions, float64.

    The identity comes first. Cn and Dn have their main axis along z and Dn a twofold axis along x;
    T has twofold and O fourfold axes along x, y and z, both threefold ones along (±1, ±1, ±1); I
    has twofold axes along x, y and z and fivefold ones along (0, ±1, ±1.618…) and its cyclic
    permutations: "I222" of Heymann et al. (2005), which other programs call I1. Names may be in
    lower case. Raises :class:`ConfigError` for other names.
    """
    match = re.fullmatch(r"([CD])([1-9]\d?)|([TOI])", name.strip().upper())
    if match is None:
        raise ConfigError(
            f"unknown point group {name!r}; known: C1 (no symmetry), C2 … C99, D1 … D99, T, O, I"
        )
    family = match[1] or match[3]
    generators = {
        "C": lambda: [_turn(int(match[2]), _Z)],
        "D": lambda: [_turn(int(match[2]), _Z), _turn(2, _X)],
        "T": lambda: [_turn(2, _Z), _turn(3, _DIAGONAL)],
        "O": lambda: [_turn(4, _Z), _turn(3, _DIAGONAL)],
        "I": lambda: [_turn(2, _Z), _turn(3, _DIAGONAL), _turn(5, _FIVEFOLD)],
    }[family]()
    return _closure(torch.stack(generators))


def _turn(fold: int, axis: tuple[float, float, float]) -> Float[Tensor, "4"]:
    """Return the rotation by 360°/``fold`` about ``axis``."""
    unit = torch.nn.functional.normalize(torch.tensor(axis, dtype=torch.float64), dim=0)
    return rotations.from_rotation_vector(2 * math.pi / fold * unit)


def _closure(generators: Float[Tensor, "k 4"]) -> Float[Tensor, "n 4"]:
    """Return all products of the generators, identity first."""
    group = newest = generators.new_tensor([[1.0, 0.0, 0.0, 0.0]])
    while len(newest):
        products = rotations.multiply(newest[:, None], generators).reshape(-1, 4)
        newest = group[:0]
        for product in rotations.normalize(products):
            known = torch.cat([group, newest])
            if float(rotations.angle_between(known, product[None]).min()) > _SAME_RAD:
                newest = torch.cat([newest, product[None]])
        group = torch.cat([group, newest])
    return group


def symmetrize(
    values: Float[Tensor, "G G G"], group: Float[Tensor, "n 4"]
) -> Float[Tensor, "G G G"]:
    """Return the mean of V(gᵀ s) over the group, by trilinear interpolation about the centre.

    Averages an intensity, or a sum over patterns: photons and exposure both averaged and then
    divided let a voxel gain from those of its mates that were measured better. Voxels outside the
    inscribed ball, where no rotated pixel may lie, keep their values. Elements that map the grid
    onto itself (turns by 90° and 180° about its axes) are exact.
    """
    if len(group) == 1:
        return values
    grid = values.shape[0]
    require_odd(grid)
    turn = rotations.to_matrix(group)
    whole = turn.round()
    turn = torch.where((turn - whole).abs() < _SAME_RAD, whole, turn).to(values)
    ball = (radius(grid, 1.0) < grid // 2).to(values.device)
    points = coordinates(grid, 1.0).to(values.device)[ball]
    means = [
        slice_volume(values, turn, chunk, 1.0).mean(0)
        for chunk in points.split(max(1, _SAMPLES // len(group)))
    ]
    averaged = values.clone()
    averaged[ball] = torch.cat(means).to(values)
    return averaged


def asymmetric_directions(n: int, group: Float[Tensor, "m 4"]) -> Float[Tensor, "d 3"]:
    """Return near-uniform unit vectors, float32, within one asymmetric unit: about ``n``/order.

    Of a spiral of ``n`` directions over the sphere (:func:`so3.spiral`), those that lie closer to
    one fixed direction than all their mates g·v do: the Dirichlet cell of that direction. The
    vectors are meant in the particle's frame, such as the beam Rᵀz seen from the particle.
    """
    spiral = so3.spiral(n)
    # (g v)·r = v·(gᵀ r); the identity is the group's first element.
    reference = torch.tensor(_REFERENCE, dtype=torch.float64)
    mates = rotations.to_matrix(group.double().cpu()).mT @ reference
    return spiral[(spiral @ mates.T).argmax(1) == 0].float()


def asymmetric_mate(
    quaternion: Float[Tensor, "*batch 4"], group: Float[Tensor, "m 4"]
) -> Float[Tensor, "*batch 4"]:
    """Return the mate R·g of each orientation that sees the particle from the asymmetric unit.

    Its view direction gᵀRᵀz lies in the cell of :func:`asymmetric_directions`, so equivalent
    orientations become one.
    """
    group = group.to(quaternion)
    view = rotations.to_matrix(quaternion)[..., 2, :]
    # (gᵀ v)·r = v·(g r)
    mates = rotations.to_matrix(group) @ quaternion.new_tensor(_REFERENCE)
    best = (view @ mates.T).argmax(-1)
    return rotations.normalize(rotations.multiply(quaternion, group[best]))


def nearest_mate(
    quaternion: Float[Tensor, "*#batch 4"],
    reference: Float[Tensor, "*#batch 4"],
    group: Float[Tensor, "m 4"],
) -> tuple[Float[Tensor, "*batch 4"], Float[Tensor, "*batch"]]:
    """Return the mate R·g of each orientation closest to its reference, and the angle in radians.

    The angle is the pose error modulo the symmetry of a particle whose axes lie as
    :func:`point_group` puts them.
    """
    group = group.to(quaternion)
    # The angle between R·g and the reference grows as |⟨g, R⁻¹·reference⟩| falls.
    relative = rotations.multiply(rotations.conjugate(quaternion), reference)
    best = (relative @ group.T).abs().argmax(-1)
    mate = rotations.normalize(rotations.multiply(quaternion, group[best]))
    return mate, rotations.angle_between(mate, reference)


def angle_modulo_mate(
    left: Float[Tensor, "n 4"],
    right: Float[Tensor, "n 4"],
    group: Float[Tensor, "m 4"] | None = None,
) -> Float[Tensor, "n"]:
    """Return the angle in degrees between poses, or to the in-plane mate if that is nearer.

    With the point group of the particle, the smallest of all those between equivalent poses.
    """
    both = (angle_modulo(group, left, one) for one in (right, so3.in_plane_mate(right)))
    return torch.rad2deg(torch.minimum(*both))


def angle_modulo(
    group: Float[Tensor, "m 4"] | None, left: Float[Tensor, "n 4"], right: Float[Tensor, "n 4"]
) -> Float[Tensor, "n"]:
    """Return the smallest angle (radians) between poses that are equivalent by a point group."""
    if group is None:
        return rotations.angle_between(left, right)
    return nearest_mate(left, right, group)[1]
