"""Random damage to structure files ends in finite atoms or in our own error, never otherwise."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xraisim.core.errors import StructureError
from xraisim.sample.structure import read_atoms

ODD = ["", "nan", "inf", "-1e400", "********", "?", ".", "'", '"', "0", "-0.5", "9" * 30, "é", "\0"]

# Each takes the file, two numbers from 0 to 1 and an odd word.
DAMAGES = {
    "truncation": lambda data, a, b, odd: data[: int(a * len(data))],
    "hole": lambda data, a, b, odd: data[: int(a * len(data))] + data[int(b * len(data)) :],
    "bit flip": lambda data, a, b, odd: _flip(data, int(a * (len(data) - 1)), int(b * 7.99)),
    "dropped line": lambda data, a, b, odd: _lines(data, a, lambda line: []),
    "doubled line": lambda data, a, b, odd: _lines(data, a, lambda line: [line, line]),
    "odd line": lambda data, a, b, odd: _lines(data, a, lambda line: [odd.encode(), line]),
    "odd field": lambda data, a, b, odd: _lines(data, a, lambda line: [_field(line, b, odd)]),
    "odd columns": lambda data, a, b, odd: _lines(data, a, lambda line: [_columns(line, b, odd)]),
}


def _flip(data, place, bit):
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :] if data else data


def _lines(data, where, change):
    lines = data.split(b"\n")
    place = int(where * (len(lines) - 1))
    return b"\n".join([*lines[:place], *change(lines[place]), *lines[place + 1 :]])


def _field(line, where, odd):
    fields = line.split()
    if not fields:
        return odd.encode()
    fields[int(where * (len(fields) - 1))] = odd.encode()
    return b" ".join(fields)


def _columns(line, where, odd):
    start = 6 * int(where * 12)
    return line[:start] + odd.encode()[:8].rjust(8) + line[start + 8 :]


damages = st.lists(
    st.tuples(
        st.sampled_from(list(DAMAGES)), st.floats(0, 1), st.floats(0, 1), st.sampled_from(ODD)
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def pdb(atom_line):
    """Two models of a chain and a water, an assembly, hydrogens and alternate locations."""
    remark = [
        "HEADER    TEST\nREMARK 350 BIOMOLECULE: 1\nREMARK 350 APPLY THE FOLLOWING TO CHAINS: A\n"
    ]
    for copy in (1, 2):
        remark += [
            f"REMARK 350   BIOMT{row}   {copy}"
            + "".join(f"{float(row == k):10.6f}" for k in (1, 2, 3))
            + f"{9.0 * copy:15.5f}\n"
            for row in (1, 2, 3)
        ]
    places = np.random.default_rng(8).normal(size=(8, 3)) * 5
    atoms = [
        atom_line(k, place, "CNODHSCO"[k - 1], number=1 + k // 3, altloc=" A"[k == 4], b_iso=20)
        for k, place in enumerate(places, 1)
    ]
    water = atom_line(9, (9, 9, 9), "O", residue="HOH", chain="B")
    model = [*atoms, "TER\n", water, "ENDMDL\n"]
    return [*remark, "MODEL        1\n", *model, "MODEL        2\n", *model]


@pytest.fixture(scope="module")
def originals(pdb, mmcif_text):
    """The contents of an undamaged file of either kind."""
    return {"pdb": "".join([*pdb, "END\n"]).encode(), "cif": mmcif_text(pdb).encode()}


def ends_well(path, data, options):
    """Whether the file is read; fails for atoms that are not finite and for other errors."""
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            atoms = read_atoms(path, **options)
    except StructureError as error:
        assert str(error)  # noqa: PT017
        return False
    values = (atoms.positions, atoms.occupancy, atoms.b_iso, atoms.elements)
    assert all(np.isfinite(array).all() for array in values)
    assert len(atoms) > 0
    assert (atoms.occupancy > 0).all()
    assert (atoms.b_iso >= 0).all()
    assert ((atoms.elements >= 1) & (atoms.elements <= 98)).all()
    assert np.isfinite(atoms.diameter_angstrom)
    return True


options = st.fixed_dictionaries(
    {
        "assembly": st.sampled_from(["", "1"]),
        "model": st.sampled_from([0, 1, 2]),
        "add_hydrogens": st.booleans(),
    }
)


@pytest.mark.parametrize("kind", ["pdb", "cif"])
def test_the_undamaged_files_are_read(originals, tmp_path, kind):
    assert ends_well(tmp_path / "file", originals[kind], {"assembly": "1", "add_hydrogens": True})


@pytest.mark.parametrize("kind", ["pdb", "cif"])
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damage=damages, chosen=options)
def test_damage_ends_in_atoms_or_in_our_error(originals, tmp_path, kind, damage, chosen):
    data = originals[kind]
    for name, a, b, odd in damage:
        data = DAMAGES[name](data, a, b, odd)
    ends_well(tmp_path / "file", data, chosen)
