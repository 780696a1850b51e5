import numpy as np
import pytest

from xraisim.core.errors import StructureError
from xraisim.sample.structure import read_atoms

POSITIONS = np.random.default_rng(6).normal(size=(20, 3)) * 5


@pytest.fixture
def lines(atom_line):
    return [atom_line(k, place) for k, place in enumerate(POSITIONS, 1)]


def test_occupancy_zero_is_left_out_with_a_word(write_pdb, lines):
    lines[3] = lines[3].replace("  1.00", "  0.00")
    with pytest.warns(UserWarning, match="1 of 20 atoms have occupancy zero and are left out"):
        assert len(read_atoms(write_pdb(lines))) == 19


def test_occupancies_above_one_are_said(write_pdb, lines):
    lines[3] = lines[3].replace("  1.00", " 12.00")
    with pytest.warns(UserWarning, match="1 atoms have an occupancy above 1, up to 12"):
        read_atoms(write_pdb(lines))


def test_negative_occupancies_are_refused(write_pdb, lines):
    lines[3] = lines[3].replace("  1.00", " -0.30")
    with pytest.raises(StructureError, match=r"an occupancy below 0.*serial 4"):
        read_atoms(write_pdb(lines))


def test_negative_b_factors_are_said(write_pdb, lines):
    lines[3] = lines[3].replace("  0.00", " -9.00")
    with pytest.warns(UserWarning, match="1 atoms have a B factor below 0"):
        assert not read_atoms(write_pdb(lines)).b_iso.any()


def test_alternate_locations_that_are_both_whole(write_pdb, atom_line, lines):
    def pair(part):
        return [
            atom_line(30 + k, (30, k, 0), altloc="AB"[k], number=30, occupancy=part) for k in (0, 1)
        ]

    assert len(read_atoms(write_pdb([*lines, *pair(0.5)]))) == 22
    with pytest.warns(UserWarning, match="locations of 1 atoms have occupancies that add up to"):
        assert read_atoms(write_pdb([*lines, *pair(1.0)])).occupancy.sum() == 22


def test_atoms_that_are_listed_twice(write_pdb, lines):
    with pytest.warns(UserWarning, match="at 20 places there is more than one atom"):
        read_atoms(write_pdb([*lines, *lines]))


def test_a_placeholder_far_away(write_pdb, atom_line, lines):
    with pytest.warns(UserWarning, match=r"an atom is 17\d\d\d Å away from all others"):
        read_atoms(write_pdb([*lines, atom_line(21, (9999.0, 9999.0, 9999.0))]))


def test_a_trace_of_alpha_carbons(write_pdb, atom_line):
    lines = [
        atom_line(k, place, name=" CA ", residue="ALA") for k, place in enumerate(POSITIONS, 1)
    ]
    with pytest.warns(UserWarning, match="only one atom .* of each of 20 residues"):
        read_atoms(write_pdb(lines))


def test_every_chain_that_is_named_has_to_be_there(write_pdb, lines):
    with pytest.raises(StructureError, match="no chain matches 'B'; the file has chains A"):
        read_atoms(write_pdb(lines), chains="A,B")
    with pytest.raises(StructureError, match="no chain matches ''"):
        read_atoms(write_pdb(lines), chains="")
