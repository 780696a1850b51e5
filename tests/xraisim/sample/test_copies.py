"""Copies by a point group: the intensity has the symmetry, and one of unequal copies has not."""

import numpy as np
import pytest

from xraisim.core import rotations
from xraisim.core.errors import ConfigError
from xraisim.core.symmetry import point_group
from xraisim.sample.copies import copied
from xraisim.sample.species import Species, load_species
from xraisim.sample.structure import Atoms
from xraisim.scattering.structure_factor import structure_factor_direct

_ENERGY = 4600.0
_S = np.random.default_rng(1).normal(size=(40, 3)) * 0.02


@pytest.fixture(scope="module")
def chain() -> Atoms:
    """A lopsided chain of 40 atoms of two elements."""
    draw = np.random.default_rng(2)
    return Atoms(
        positions=draw.normal(size=(40, 3)) * [9.0, 5.0, 3.0],
        elements=draw.choice([6, 16], 40),
        occupancy=draw.uniform(0.5, 1, 40),
        b_iso=draw.uniform(5, 40, 40),
    )


def _asymmetry(atoms: Atoms, group: str) -> float:
    """Return by how much |F|² differs most between s and g·s, relative to its mean."""
    turns = rotations.to_matrix(point_group(group)).numpy()
    mates = np.abs([structure_factor_direct(atoms, _S @ turn.T, _ENERGY) for turn in turns]) ** 2
    return float(np.ptp(mates, axis=0).max() / mates.mean())


@pytest.mark.parametrize("group", ["C2", "C3", "D3", "T", "O", "I"])
def test_copies_have_the_symmetry_of_their_group(chain, group):
    made = copied(chain, group, (8.0, -20.0, 14.0))
    assert len(made) == len(point_group(group)) * len(chain)
    assert _asymmetry(made, group) < 1e-6
    assert _asymmetry(made, "C7") > 0.1
    assert _asymmetry(chain, group) > 0.1


def test_unequal_copies_are_nearly_symmetric(chain):
    whole = copied(chain, "C2", (8.0, -20.0, 14.0))
    made = copied(chain, "C2", (8.0, -20.0, 14.0), (1.0, 0.8))
    np.testing.assert_array_equal(made.positions, whole.positions)
    np.testing.assert_allclose(made.occupancy[:40], chain.occupancy)
    np.testing.assert_allclose(made.occupancy[40:], 0.8 * chain.occupancy)
    assert 0.02 < _asymmetry(made, "C2") < 0.5


@pytest.mark.parametrize(("group", "along"), [("C3", True), ("D3", False), ("T", False)])
def test_copies_lie_around_the_axes(chain, group, along):
    # The axes stay where they are; only along a single one may the copies be moved.
    offset = np.array([30.0, 0.0, 50.0])
    made = copied(chain, group, tuple(offset))
    first = made.positions[: len(chain)] - chain.positions
    np.testing.assert_allclose(first[:, :2], np.broadcast_to(offset[:2], (len(chain), 2)))
    assert (abs(first[0, 2] - 50) > 10) == along
    assert abs(made.positions[:, 2].max() + made.positions[:, 2].min()) < 12


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"copies": "C0"}, "unknown point group 'C0'"),
        ({"copies": "C2", "copies_offset_angstrom": (1.0, 2.0)}, "has 2 numbers; expected x, y"),
        ({"copies": "C2", "copy_occupancies": (1.0,)}, "has 1 numbers; expected 2, one for each"),
        ({"copies": "C2", "copy_occupancies": (0.0, 0.0)}, "copy_occupancies are all 0"),
        ({"copies": "C2", "copy_occupancies": (1.0, 1.2)}, "expected 0 to 1"),
        ({"copies_offset_angstrom": (1.0, 2.0, 3.0)}, "but no copies; give their point group"),
        ({"copy_occupancies": (1.0,)}, "but no copies; give their point group"),
    ],
)
def test_what_are_no_copies(stated, message):
    with pytest.raises(ConfigError, match=message):
        Species(structure="4v5d", **stated)


def test_a_shape_has_no_copies():
    with pytest.raises(ConfigError, match="cube is a shape, which has no copies"):
        Species(shape="cube", size_nm=3.0, material="gold", copies="C2")


def test_a_species_is_copied_as_it_says(small_particle):
    one = load_species(Species(structure=str(small_particle)))
    two = load_species(
        Species(
            structure=str(small_particle),
            copies="C2",
            copies_offset_angstrom=(200.0, 0.0, 0.0),
            copy_occupancies=(1.0, 0.5),
        )
    )
    assert two.electrons == pytest.approx(1.5 * one.electrons)
    assert two.diameter_angstrom == pytest.approx(one.diameter_angstrom + 400, rel=0.2)
