"""Copies of a structure about a point group's axes: symmetric particles, and nearly symmetric ones.

Copy k lies at g_k (r + offset), r from the middle of the ball that encloses the structure, g_k the
k-th rotation of :func:`xraisim.core.symmetry.point_group`, in its order and its frame; the first is
the structure itself. Copies of different occupancy leave a particle that only looks symmetric.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from xraisim.core import rotations
from xraisim.core.errors import ConfigError
from xraisim.core.symmetry import point_group
from xraisim.sample.structure import Atoms, enclosing_centre


def copied(
    atoms: Atoms, group: str, offset_angstrom: Sequence[float], occupancies: Sequence[float] = ()
) -> Atoms:
    """Return the copies of ``atoms`` by a point ``group``, around the middle of their ball.

    ``offset_angstrom`` [3]: where the centre of ``atoms`` is put before they are copied.
    ``occupancies``: one factor per copy, none for all of them 1. The axes stay where they are: the
    copies are moved along the axis of Cn, and not at all where there are several axes. Raises
    :class:`ConfigError`.
    """
    turns = _turns(group)
    check_copies(group, offset_angstrom, occupancies)
    factors = np.asarray(occupancies or np.ones(len(turns)), np.float32)
    positions = ((atoms.positions + np.asarray(offset_angstrom)) @ turns.mT).reshape(-1, 3)
    positions -= turns.mean(0) @ enclosing_centre(positions)
    return dataclasses.replace(
        atoms,
        positions=positions,
        elements=np.tile(atoms.elements, len(turns)),
        occupancy=np.outer(factors, atoms.occupancy).reshape(-1).astype(atoms.occupancy.dtype),
        b_iso=np.tile(atoms.b_iso, len(turns)),
    )


def check_copies(
    group: str, offset_angstrom: Sequence[float], occupancies: Sequence[float]
) -> None:
    """Raise :class:`ConfigError` for an unknown group, or not as many numbers as there must be."""
    order = len(_turns(group))
    if len(offset_angstrom) != 3:
        raise ConfigError(
            f"copies_offset_angstrom has {len(offset_angstrom)} numbers; expected x, y and z"
        )
    if occupancies and len(occupancies) != order:
        raise ConfigError(
            f"copy_occupancies has {len(occupancies)} numbers; expected {order}, one for each copy "
            f"by {group}"
        )
    if occupancies and not any(occupancies):
        raise ConfigError("copy_occupancies are all 0; expected a copy that is there")


def _turns(group: str) -> Float64[np.ndarray, "n 3 3"]:
    return rotations.to_matrix(point_group(group)).numpy()
