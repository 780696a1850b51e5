import gemmi
import numpy as np
import pytest

from xraisim.core.errors import StructureError
from xraisim.sample.structure import read_atoms

DICTIONARY = "data_comp_list\nloop_\n_chem_comp.id\n_chem_comp.name\nLIG ligand\n"


@pytest.fixture
def write_cif(tmp_path, mmcif_text, atom_line):
    """Return a function that writes two atoms as mmCIF, changed by ``edit``."""

    def write(edit=lambda text: text):
        lines = [
            atom_line(k, (4.0 * k, 0, 0), "CO"[k - 1], b_iso=10.0 * k, chain="AB"[k - 1])
            for k in (1, 2)
        ]
        path = tmp_path / "particle.cif"
        path.write_text(edit(mmcif_text(lines)))
        return path

    return write


def edited(change):
    """Return an edit of the text by a change of its parsed block."""

    def edit(text):
        document = gemmi.cif.read_string(text)
        change(document.sole_block())
        return document.as_string()

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: t + DICTIONARY,
        lambda t: DICTIONARY + t,
        lambda t: "\ufeff" + t,
        lambda t: "# a comment\n" + t.replace("\n", "\r\n"),
        lambda t: t.replace("_atom_site.", "_ATOM_SITE.").replace("data_", "DATA_"),
        lambda t: "\n\n " + t,
    ],
)
def test_the_block_with_atoms_is_read(write_cif, edit):
    atoms = read_atoms(write_cif(edit))
    assert atoms.elements.tolist() == [6, 8]
    np.testing.assert_allclose(atoms.b_iso, [10, 20])


def test_the_first_of_several_blocks_with_atoms_is_taken_and_named(write_cif):
    path = write_cif(lambda t: t.replace("data_", "data_one", 1) + t.replace("data_", "data_two"))
    with pytest.warns(
        UserWarning, match=r"2 data blocks hold atoms \(one.*, two.*\); one.* is taken"
    ):
        assert len(read_atoms(path)) == 2


@pytest.mark.parametrize("name", ["type_symbol", "Cartn_x", "Cartn_z"])
def test_missing_columns_are_named(write_cif, name):
    path = write_cif(lambda t: t.replace(f"_atom_site.{name}", "_atom_site.other"))
    with pytest.raises(StructureError, match=f"the atom table lacks {name}"):
        read_atoms(path)


@pytest.mark.parametrize("value", ["?", ".", None])
def test_missing_b_factors_are_zero_and_not_gemmis_20(write_cif, value):
    def change(block):
        tag = "_atom_site.B_iso_or_equiv"
        if value is None:
            block.find_loop(tag).get_loop().remove_column(tag)
        else:
            block.find_values(tag)[1] = value

    with pytest.warns(UserWarning, match="atoms have no B factor"):
        atoms = read_atoms(write_cif(edited(change)))
    np.testing.assert_allclose(atoms.b_iso, [0, 0] if value is None else [10, 0])


@pytest.mark.parametrize("value", ["nan", "1.2.3", "word", "inf", "1e300"])
@pytest.mark.parametrize("name", ["Cartn_x", "occupancy", "B_iso_or_equiv"])
def test_cells_that_are_no_numbers_are_named(write_cif, name, value):
    def change(block):
        block.find_values(f"_atom_site.{name}")[1] = value

    with pytest.raises(StructureError, match=r"1 atoms (have|are).*first is serial 2"):
        read_atoms(write_cif(edited(change)))


def test_atoms_of_chains_that_are_not_selected_may_be_damaged(write_cif):
    def change(block):
        block.find_values("_atom_site.Cartn_x")[1] = "?"

    assert len(read_atoms(write_cif(edited(change)), chains="A")) == 1


def test_chain_names_that_are_too_long_are_refused_with_a_reason(write_cif):
    def change(block):
        block.find_values("_atom_site.auth_asym_id")[1] = "ABCDEFGHIJ"

    with pytest.raises(StructureError, match="ABCDEFGHIJ; shorten the names"):
        read_atoms(write_cif(edited(change)))


def test_an_archive_file_that_ends_early_is_noticed(write_cif):
    def archive(text):
        return text.replace("loop_", "# \nloop_")

    assert len(read_atoms(write_cif(lambda t: archive(t) + "# \n"))) == 2
    with pytest.warns(UserWarning, match="no # behind the last table"):
        read_atoms(write_cif(archive))
