import re

import gemmi
import numpy as np
import pytest

from xraisim.core.errors import StructureError
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry
from xraisim.sample.structure import read_atoms
from xraisim.scattering.form_factors import HEAVIEST_ELEMENT, profile
from xraisim.scattering.intensity import intensity_spline, look_up

SYMBOLS = [gemmi.Element(number).name for number in range(1, 119)]
POSITIONS = np.random.default_rng(4).normal(size=(30, 3)) * 6


def a_file(write_pdb, mmcif_text, kind, lines):
    if kind == "pdb":
        return write_pdb(lines)
    path = write_pdb([], name="particle.cif")
    path.write_text(mmcif_text(lines))
    return path


@pytest.mark.parametrize("kind", ["pdb", "cif"])
def test_every_element_scatters_with_its_own_form_factor(write_pdb, mmcif_text, atom_line, kind):
    """F(0) of a file's atom against gemmi's own table, asked for by the element's symbol."""
    for symbol in [*SYMBOLS[:HEAVIEST_ELEMENT], "D"]:
        lines = [atom_line(1, (0, 0, 0), symbol.upper(), residue="UNL")]
        path = a_file(write_pdb, mmcif_text, kind, lines)
        atoms, element = read_atoms(path), gemmi.Element("H" if symbol == "D" else symbol)
        assert atoms.elements.tolist() == [element.atomic_number]
        assert atoms.electrons == pytest.approx(element.it92.calculate_sf(0), rel=1e-6)
        assert atoms.electrons == pytest.approx(element.atomic_number, rel=0.002)


@pytest.mark.parametrize("symbol", SYMBOLS[HEAVIEST_ELEMENT:])
def test_elements_without_a_form_factor_are_refused(write_pdb, atom_line, symbol):
    path = write_pdb([atom_line(7, (0, 0, 0), symbol.upper(), residue="UNL")])
    with pytest.raises(StructureError, match=r"without a form factor, the first is serial 7"):
        read_atoms(path)


@pytest.mark.parametrize("number", [0, -1, 99, 119, 120, 1000])
def test_numbers_that_are_no_elements_are_refused(number):
    with pytest.raises(
        StructureError, match=re.escape(f"atomic number {number}; expected 1 to 98")
    ):
        profile(number, 0.0, np.zeros(1), None)


def test_anomalous_terms_that_gemmi_does_not_have_are_refused():
    assert profile(92, 0.0, np.zeros(1), 4600.0)[0].imag > 1
    assert profile(94, 0.0, np.zeros(1), None)[0].real == pytest.approx(94, rel=0.002)
    with pytest.raises(StructureError, match="Pu, atomic number 94; leave them out"):
        profile(94, 0.0, np.zeros(1), 4600.0)


def test_deuterium_gives_the_photons_of_hydrogen(write_pdb, atom_line):
    detector = geometry(Detector(rows=24, columns=24, pixel_size_mm=3.0), Beam())
    expected = []
    for symbol in "HD":
        lines = [
            atom_line(k, place, "C" if k % 2 else symbol) for k, place in enumerate(POSITIONS, 1)
        ]
        volume = intensity_spline(read_atoms(write_pdb(lines)), detector.s_max, 4600.0)
        expected.append(detector.gain * look_up(volume, detector.s))
    np.testing.assert_array_equal(*expected)


def test_deuterium_counts_as_a_residues_hydrogen(write_pdb, atom_line):
    lines = [
        atom_line(1, (0, 0, 0), "C", name=" CA ", number=1),
        atom_line(2, (1, 0, 0), "D", name=" D1 ", number=1),
    ]
    assert len(read_atoms(write_pdb(lines), add_hydrogens=True)) == 2


@pytest.mark.parametrize(
    "name", ["CA", "CB", "CD", "CE", "NE", "ND1", "NZ", "OD1", "SD", "HG", "DB"]
)
def test_names_a_column_too_far_to_the_left(write_pdb, atom_line, name):
    """Without element columns gemmi takes ``CA`` there for calcium, and ``CB`` for nothing."""
    line = atom_line(1, (0, 0, 0), " ", name=f"{name:<4s}", residue="LYS")
    with pytest.warns(UserWarning, match="1 atoms of standard residues have an element"):
        atoms = read_atoms(write_pdb([line]))
    first = gemmi.Element(name[0]).atomic_number
    assert atoms.elements.tolist() == [first]


def test_ions_and_metals_stay_what_they_are(write_pdb, atom_line):
    ions = [("CA", "CA"), ("ZN", "ZN"), ("HG", "HG"), ("FE", "HEM"), ("SE", "MSE"), ("ZN", "CYS")]
    lines = [atom_line(k, (9.0 * k, 0, 0), e, residue=r) for k, (e, r) in enumerate(ions, 1)]
    assert read_atoms(write_pdb(lines)).elements.tolist() == [20, 30, 80, 26, 34, 30]
