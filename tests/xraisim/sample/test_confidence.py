import warnings

import numpy as np
import pytest

from xraisim.sample.species import Species, load_species
from xraisim.sample.structure import read_atoms

SCORES = "_ma_qa_metric.id 1\n_ma_qa_metric.type pLDDT\n"


@pytest.fixture
def lines(atom_line):
    """Twelve residues of four atoms, with one value per residue as pLDDT has it."""
    return [
        atom_line(4 * r + k + 1, (4.0 * r, 1.5 * k, 0), number=r + 1, b_iso=60.0 + 3 * r)
        for r in range(12)
        for k in range(4)
    ]


@pytest.mark.parametrize(
    "header",
    [
        "TITLE     ALPHAFOLD MONOMER V2.0 PREDICTION FOR SOMETHING (P12345)\n",
        "HEADER                                            18-OCT-22\n"
        "TITLE     ESMFOLD V1 PREDICTION FOR INPUT\n",
        "PARENT N/A\n",
        "EXPDTA    THEORETICAL MODEL\nREMARK   1 PLDDT IN THE B COLUMN\n",
    ],
)
def test_scores_of_a_predicted_model_are_left_out(write_pdb, lines, header):
    with pytest.warns(UserWarning, match="a predicted model, whose column of B factors"):
        assert not read_atoms(write_pdb([header, *lines])).b_iso.any()


def test_scores_of_a_predicted_mmcif_are_left_out(write_pdb, lines, mmcif_text):
    path = write_pdb([], name="predicted.cif")
    text = mmcif_text(lines)
    path.write_text(text + SCORES)
    with pytest.warns(UserWarning, match="a predicted model"):
        assert not read_atoms(path).b_iso.any()


def test_values_that_look_like_scores_are_kept_with_a_notice(write_pdb, lines):
    path = write_pdb(lines)
    with pytest.warns(
        UserWarning, match="mean 76 Å², are one value per residue.*b_factors = false"
    ):
        np.testing.assert_allclose(read_atoms(path).b_iso.max(), 93)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not load_species(Species(structure=str(path), b_factors=False)).b_iso.any()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: ["EXPDTA    X-RAY DIFFRACTION\n", *lines],
        lambda lines: [
            "TITLE     SOLVED WITH ALPHAFOLD\n",
            "EXPDTA    X-RAY DIFFRACTION\n",
            *lines,
        ],
        lambda lines: ["REMARK   3 REFINEMENT.\n", *lines],
        lambda lines: [
            line[:60] + f"{60 + k % 7:6.2f}" + line[66:] for k, line in enumerate(lines)
        ],
        lambda lines: [line[:60] + "120.00" + line[66:] for line in lines],
        lambda lines: [line[:60] + " 20.00" + line[66:] for line in lines],
    ],
)
def test_b_factors_stay_what_they_are(write_pdb, lines, change):
    assert read_atoms(write_pdb(change(lines))).b_iso.min() >= 20
