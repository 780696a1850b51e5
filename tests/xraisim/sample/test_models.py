import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xraisim.sample.species import Species, conformations
from xraisim.sample.structure import read_atoms
from xraisim.sample.structure_file import count_models

PARTICLE = np.random.default_rng(2).normal(size=(60, 3)) * 3  # as dense as a protein
TURN = Rotation.from_euler("zyx", [70, 20, 130], degrees=True).as_matrix()
APART = PARTICLE @ TURN.T + [90, 10, -20]
ONE_OF_TWO = "1 of 2 models is taken, the first"


@pytest.fixture
def write_models(write_pdb, atom_line):
    """Return a function that writes a file with a model for each array of positions."""

    def write(*models, name="particle.pdb", begin="MODEL     {:4d}\n", end="ENDMDL\n"):
        lines = []
        for number, positions in enumerate(models, 1):
            atoms = [atom_line(k, place) for k, place in enumerate(positions, 1)]
            lines += [begin.format(number), *atoms, end]
        return write_pdb(lines, name=name)

    return write


def test_copies_placed_apart_are_one_particle(write_models):
    path = write_models(PARTICLE, APART, name="1abc.pdb1")
    with pytest.warns(UserWarning, match="2 models are copies placed apart"):
        whole = read_atoms(path)
    np.testing.assert_allclose(
        whole.positions - whole.positions[0],
        np.concatenate([PARTICLE, APART]) - PARTICLE[0],
        atol=2e-3,
    )
    assert len(read_atoms(path, model=1)) == len(read_atoms(path, model=2)) == 60


def test_copies_are_told_by_their_atoms_and_not_by_the_files_name(write_models):
    with pytest.warns(UserWarning, match="copies placed apart"):
        assert len(read_atoms(write_models(PARTICLE, APART))) == 120


def test_an_assembly_file_may_hold_different_parts(write_models):
    with pytest.warns(UserWarning, match="copies placed apart"):
        assert len(read_atoms(write_models(PARTICLE, APART[:20], name="1abc.pdb2"))) == 80


@pytest.mark.parametrize(
    "second",
    [
        PARTICLE + 0.3,  # another member of an ensemble
        PARTICLE @ TURN.T,  # turned, in the same place
        APART * [1, 1, -1],  # a mirror image is no copy
        APART + np.random.default_rng(3).normal(size=APART.shape),  # nor is another conformation
        APART[:30],
    ],
)
def test_other_models_are_views_of_which_the_first_is_taken(write_models, second):
    path = write_models(PARTICLE, second)
    with pytest.warns(UserWarning, match=ONE_OF_TWO):
        assert len(read_atoms(path)) == 60
    assert len(read_atoms(path, model=2)) == len(second)


def test_an_ensemble_named_like_an_assembly_is_still_an_ensemble(write_models):
    with pytest.warns(UserWarning, match=ONE_OF_TWO):
        assert len(read_atoms(write_models(PARTICLE, PARTICLE + 0.3, name="1abc.pdb1"))) == 60


def test_an_assembly_that_is_asked_for_is_made_of_the_first_model(write_models, write_pdb):
    text = write_models(PARTICLE, APART).read_text()
    remark = "REMARK 350 BIOMOLECULE: 1\nREMARK 350 APPLY THE FOLLOWING TO CHAINS: A\n"
    for row in (1, 2, 3):
        values = [float(row == column) for column in (1, 2, 3)]
        remark += f"REMARK 350   BIOMT{row}   1" + "".join(f"{v:10.6f}" for v in values)
        remark += f"{0:15.5f}\n"
    with pytest.warns(UserWarning, match=ONE_OF_TWO):
        assert len(read_atoms(write_pdb([remark, text], name="b.pdb"), assembly="1")) == 60


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("", "END\n"),  # frames of a trajectory
        ("REMARK frame {}\n", "END   \n"),
        ("", "ENDMDL\n"),
        ("MODEL        1\n", "ENDMDL\n"),  # numbered alike
        ("MODEL     {:4d}\n", ""),  # never closed
        ("MODEL\n", "TER\nENDMDL\nEND\n"),
    ],
)
def test_models_are_counted_however_they_are_parted(write_models, begin, end):
    path = write_models(PARTICLE, PARTICLE[:20], PARTICLE[:30], begin=begin, end=end)
    assert count_models(path) == 3
    assert [len(read_atoms(path, model=number)) for number in (1, 2, 3)] == [60, 20, 30]
    frames = conformations([Species(structure=str(path), all_models=True)])
    assert [one.model for one in frames] == [1, 2, 3]


def test_a_single_model_goes_without_saying(write_models):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_atoms(write_models(PARTICLE))) == 60
