"""Files as other programs write and damage them: read right, or named with the reason."""

import gzip

import numpy as np
import pytest

from xraisim.core.errors import StructureError
from xraisim.sample.structure import read_atoms

POSITIONS = [(1.5, 0.0, 3.0), (-2.0, 4.25, 0.0), (0.0, -7.125, 1.0)]


@pytest.fixture
def lines(atom_line):
    return [
        atom_line(k, place, element, b_iso=10.0 * k)
        for k, (place, element) in enumerate(zip(POSITIONS, "CNO", strict=True), 1)
    ]


def as_written(atoms):
    """Whether the atoms are those of the fixture ``lines``."""
    shift = atoms.positions - POSITIONS
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-3)
    assert atoms.elements.tolist() == [6, 7, 8]
    np.testing.assert_allclose(atoms.b_iso, [10, 20, 30])
    np.testing.assert_allclose(atoms.occupancy, 1)


WAYS = {
    "byte order mark": lambda t: b"\xef\xbb\xbf" + t.encode(),
    "UTF-16": lambda t: t.encode("utf-16"),
    "Windows lines": lambda t: t.replace("\n", "\r\n").encode(),
    "old Macintosh lines": lambda t: t.replace("\n", "\r").encode(),
    "lower case": lambda t: t.lower().encode(),
    "gzip under another name": lambda t: gzip.compress(t.encode()),
    "a table behind END": lambda t: (
        t + "REMARK energies\n" + 300 * "ATOM_PAIR 1.0 2.0\n"
    ).encode(),
    "no newline at the end": lambda t: t.removesuffix("\n").encode(),
    "latin-1 remarks": lambda t: b"REMARK 1 \xc5ngstr\xf6m\n" + t.encode(),
    "letters of two bytes": lambda t: b"REMARK \xc3\xa9\n" + t.encode(),
    "hybrid-36 serials": lambda t: t.replace("ATOM      1", "ATOM  A0000").encode(),
    "serials that overflowed": lambda t: t.replace("ATOM      1", "ATOM  *****").encode(),
    "insertion codes": lambda t: t.replace("A   3 ", "A   2A").replace("A   2 ", "A   2B").encode(),
    "no chain names": lambda t: t.replace("GLY A", "GLY  ").encode(),
    "charges": lambda t: t.replace(" O\n", " O1-\n").encode(),
    "blank occupancies": lambda t: t.replace("  1.00 ", "       ").encode(),
    "CONECT, no END": lambda t: t.replace("END\n", "CONECT    1    2\n").encode(),
    "odd records": lambda t: ("SEQRES   1 A  ***\nCRYST1 nonsense\nMODRES\n" + t).encode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_however_written(write_pdb, lines, way):
    path = write_pdb(lines)
    path.write_bytes(WAYS[way](path.read_text()))
    as_written(read_atoms(path))


@pytest.mark.parametrize("end", ["", "TER\n", "TER\n#BEGIN_ENERGIES\npose 1.0\n"])
def test_without_an_end_record_it_is_read_with_a_warning(write_pdb, lines, end):
    with pytest.warns(UserWarning, match="no END record"):
        as_written(read_atoms(write_pdb(lines, end=end)))


@pytest.mark.parametrize("cut", [1, 3, 14, 20, 25])
def test_a_last_atom_that_was_cut_is_refused(write_pdb, lines, cut):
    path = write_pdb(lines, end="")
    path.write_text(path.read_text()[: -1 - cut])
    with pytest.raises(StructureError, match=r"truncated|expected a number for z"):
        read_atoms(path)


@pytest.mark.parametrize(
    ("columns", "text", "name"),
    [
        (30, "     nan", "x"),
        (38, "********", "y"),
        (46, "        ", "z"),
        (46, "   1.2.3", "z"),
        (30, "     inf", "x"),
        (31, "-1000.123", "y"),  # a digit too many moves the rest
        (54, "   abc", "occupancy"),
        (60, "******", "B factor"),
        (60, "   nan", "B factor"),
    ],
)
def test_columns_that_hold_no_number_are_named(write_pdb, lines, columns, text, name):
    lines[1] = lines[1][:columns] + text + lines[1][columns + len(text.rstrip("3")) :]
    with pytest.raises(StructureError, match=rf"line 2: expected a number for {name} in columns"):
        read_atoms(write_pdb(lines))


def test_tabs_instead_of_columns_are_refused(write_pdb):
    with pytest.raises(StructureError, match="line 1: expected a number for x"):
        read_atoms(write_pdb(["ATOM\t1\tCA\tGLY\tA\t1\t1.0\t2.0\t3.0\t1.0\t10.0\tC\n"]))


def test_without_b_factors_they_are_zero(write_pdb, lines):
    path = write_pdb([line[:54] + "\n" for line in lines])
    with pytest.warns(UserWarning, match="3 atoms have no B factor; it is taken as 0"):
        atoms = read_atoms(path)
    assert not atoms.b_iso.any()
    assert (atoms.occupancy == 1).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x01\x82\xa7encoder", "binary data"),
        (b"<html>not found</html>", "no atoms found"),
        (b"\xef\xbb\xbf  \n", "empty"),
        (b"data_x\nloop_\n_atom_site_label\n_atom_site_fract_x\nC1 0.1\n", "fractional"),
        (b"data_x\n_cell.length_a 1\n", "no atoms found; expected mmCIF with a table _atom_site"),
        (b"data_x\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1 0.1\n", "lacks type_symbol"),
        (b"loop_\n_atom_site.id\n1\n", "not a readable PDB or mmCIF"),
        (b"\x1f\x8b\x08garbage", "truncated|damaged"),
    ],
)
def test_other_files_are_refused_with_the_right_reason(tmp_path, content, message):
    path = tmp_path / "particle.pdb"
    path.write_bytes(content)
    with pytest.raises(StructureError, match=message):
        read_atoms(path)


def test_a_directory_is_not_called_truncated(tmp_path):
    with pytest.raises(StructureError, match=r"cannot be read \(Is a directory\)"):
        read_atoms(tmp_path)


@pytest.mark.parametrize("keep", [1, 12, 60, -9, -1])
def test_a_gzip_that_was_cut_is_refused(write_pdb, lines, keep):
    path = write_pdb(lines)
    path.write_bytes(gzip.compress(path.read_bytes())[:keep])
    with pytest.raises(StructureError):
        read_atoms(path)


def test_a_gzip_of_far_too_much_is_refused(write_pdb, lines, monkeypatch):
    monkeypatch.setattr("xraisim.sample.structure_file._MOST_BYTES", 100)
    path = write_pdb(lines)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(StructureError, match="too much for a structure"):
        read_atoms(path)
