import gzip

import gemmi
import numpy as np
import pytest

from xraisim.sample.structure import read_atoms


def line(serial: int, name: str, residue: str, element: str, *, number=1, altloc=" ", part=1.0):
    return (
        f"ATOM  {serial:5d}  {name:<3s}{altloc}{residue:>3s} A{number:4d}    "
        f"{1.5 * serial:8.3f}{0:8.3f}{0:8.3f}{part:6.2f}  5.00          {element:>2s}\n"
    )


def added(path) -> np.ndarray:
    """Occupancies of what add_hydrogens adds."""
    bare, whole = read_atoms(path), read_atoms(path, add_hydrogens=True)
    assert (whole.elements[len(bare) :] == 1).all()
    return whole.occupancy[len(bare) :]


def test_lysozyme_has_its_formulas_hydrogens(shared):
    """C613 H959 N193 O185 S10, neutral; and two for every water of the file."""
    path = shared / "structures" / "193l.pdb.gz"
    structure = gemmi.read_pdb_string(gzip.decompress(path.read_bytes()).decode())
    waters = sum(residue.name == "HOH" for chain in structure[0] for residue in chain)
    assert added(path).sum() == pytest.approx(959 + 2 * waters, rel=0.02)


def test_hydrogens_of_the_file_are_not_doubled(write_pdb):
    glycine = [line(1, "N", "GLY", "N"), line(2, "CA", "GLY", "C"), line(3, "C", "GLY", "C")]
    assert added(write_pdb(glycine)).sum() == pytest.approx(3)  # C2H3NO in a chain
    assert len(added(write_pdb([*glycine, line(4, "HA", "GLY", "H")]))) == 0


def test_alternate_locations_share_a_residues_hydrogens(write_pdb):
    lines = [
        line(1, "N", "GLY", "N"),
        line(2, "CA", "GLY", "C", altloc="A", part=0.75),
        line(3, "CA", "GLY", "C", altloc="B", part=0.25),
        line(4, "C", "GLY", "C"),
    ]
    np.testing.assert_allclose(added(write_pdb(lines)), [1, 0.75, 0.25, 1], rtol=1e-5)


def test_nucleotides_and_ions(write_pdb):
    """Adenosine in a strand of RNA is C10 H11 N5 O6 P, charged; a magnesium has none."""
    adenosine = [line(k, f"C{k}", "A", "C") for k in range(1, 9)]
    path = write_pdb([*adenosine, line(9, "MG", "MG", "MG", number=2)])
    assert added(path).sum() == pytest.approx(11)


def test_neighbouring_residues_are_told_apart(write_pdb):
    lines = [line(k, "CA", "GLY", "C", number=k) for k in (1, 2)]
    np.testing.assert_allclose(added(write_pdb(lines)), [3, 3])
