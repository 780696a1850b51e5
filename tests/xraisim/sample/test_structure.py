import gzip
import tracemalloc

import gemmi
import numpy as np
import pytest

from xraisim.core.errors import StructureError
from xraisim.sample.assembly import expand_expression, from_mmcif
from xraisim.sample.locate import locate, sha256, shipped_directory
from xraisim.sample.structure import enclosing_centre, read_atoms
from xraisim.sample.structure_file import count_models


def pdb_line(
    serial: int,
    position: tuple[float, float, float],
    element: str = "C",
    *,
    chain: str = "A",
    occupancy: float = 1.0,
    b_iso: float = 0.0,
    altloc: str = " ",
) -> str:
    x, y, z = position
    return (
        f"ATOM  {serial:5d}  {element:<2s} {altloc}GLY {chain}{serial:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{b_iso:6.2f}          {element:>2s}\n"
    )


LINE = [pdb_line(1, (0, 0, 0), chain="A"), pdb_line(2, (10, 0, 0), "O", chain="B")]


def test_positions_are_centred_and_the_diameter_is_twice_the_reach(write_pdb):
    atoms = read_atoms(write_pdb(LINE))
    np.testing.assert_allclose(atoms.positions, [[-5, 0, 0], [5, 0, 0]], atol=0.01)
    assert atoms.diameter_angstrom == pytest.approx(10, abs=0.02)
    assert atoms.elements.tolist() == [6, 8]


def test_the_enclosing_ball_is_the_smallest():
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(500, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    # A dense lump on one side pulls the centroid, not the ball.
    points = np.concatenate([ball, np.tile([[0.9, 0, 0]], (5000, 1))]) + np.array([7, 8, 9])
    assert np.linalg.norm(enclosing_centre(points) - [7, 8, 9]) < 0.02


def test_one_model_is_read_the_first_unless_told(write_pdb):
    second = pdb_line(1, (50, 0, 0))
    path = write_pdb(["MODEL        1\n", *LINE, "ENDMDL\nMODEL        2\n", second, "ENDMDL\n"])
    assert count_models(path) == 2
    with pytest.warns(UserWarning, match="1 of 2 models is taken, the first"):
        assert len(read_atoms(path)) == 2
    assert [len(read_atoms(path, model=number)) for number in (1, 2)] == [2, 1]
    with pytest.raises(StructureError, match="no model 3; the file has models 1 to 2"):
        read_atoms(path, model=3)


def test_alternate_locations_keep_their_occupancies(write_pdb):
    lines = [
        pdb_line(1, (0, 0, 0), occupancy=0.7, altloc="A"),
        pdb_line(1, (1, 0, 0), occupancy=0.3, altloc="B"),
        pdb_line(2, (5, 0, 0)),
    ]
    atoms = read_atoms(write_pdb(lines))
    np.testing.assert_allclose(atoms.occupancy, [0.7, 0.3, 1.0], atol=1e-6)


@pytest.mark.parametrize(("chains", "count"), [("*", 2), ("A", 1), ("B*", 1), ("A, B", 2)])
def test_chains_are_shell_patterns(write_pdb, chains, count):
    assert len(read_atoms(write_pdb(LINE), chains=chains)) == count


def test_gzip_and_mmcif_give_the_same_atoms(write_pdb, tmp_path):
    plain = write_pdb(LINE)
    packed = tmp_path / "particle.cif.gz"
    text = gemmi.read_structure(str(plain)).make_mmcif_document().as_string()
    packed.write_bytes(gzip.compress(text.encode()))
    np.testing.assert_allclose(read_atoms(packed).positions, read_atoms(plain).positions)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1", [("1",)]),
        ("1,3", [("1",), ("3",)]),
        ("(1-3)", [("1",), ("2",), ("3",)]),
        ("'(1,2)(7-8)'", [("1", "7"), ("1", "8"), ("2", "7"), ("2", "8")]),
        ("(P)(5)", [("P", "5")]),
        ("P,(1-2)(X0)", [("P",), ("1", "X0"), ("2", "X0")]),
        ("(1-2),(5)", [("1",), ("2",), ("5",)]),
        ("(1)(2)(3,4)", [("1", "2", "3"), ("1", "2", "4")]),
    ],
)
def test_operator_expressions_expand_to_products(expression, expected):
    assert expand_expression(expression) == expected


@pytest.mark.parametrize("expression", ["", "1(2)", "(1-3", "()", "1,,2", "(1)(2),"])
def test_unclear_operator_expressions_are_refused(expression):
    with pytest.raises(StructureError, match="operator"):
        expand_expression(expression)


@pytest.mark.parametrize("expression", ["1-999999999", "(1-1000)(1-1000)", "1-" + 50 * "9"])
def test_expressions_for_far_too_many_operators_are_refused(expression):
    with pytest.raises(StructureError, match="expected 100,000 at most"):
        expand_expression(expression)


def test_the_largest_real_expression_has_1680_operators(shared):
    path = shared / "structures" / "1m4x.cif.gz"
    block = gemmi.cif.read_string(gzip.decompress(path.read_bytes()).decode()).sole_block()
    ((chains, operators),) = from_mmcif(block, "1")
    assert chains == {"A", "B", "C"}
    assert len(operators) == 60 * 28
    matrices = np.array([matrix for matrix, _ in operators])
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (1680, 3, 3)), atol=1e-4
    )
    places = np.array([np.append(matrix, vector) for matrix, vector in operators])
    assert len(np.unique(places.round(3), axis=0)) == 60 * 28


def test_a_compound_assembly_has_every_copy_with_the_right_operator_first(write_pdb, tmp_path):
    document = gemmi.read_structure(str(write_pdb(LINE))).make_mmcif_document()
    block = document.sole_block()
    chains = ",".join(dict.fromkeys(block.find_values("_atom_site.label_asym_id")))
    generator = block.init_loop(
        "_pdbx_struct_assembly_gen.", ["assembly_id", "oper_expression", "asym_id_list"]
    )
    generator.add_row(["1", "'(1-2)(3)'", chains])
    names = [f"matrix[{i}][{j}]" for i in (1, 2, 3) for j in (1, 2, 3)]
    table = block.init_loop(
        "_pdbx_struct_oper_list.", ["id", *names, *(f"vector[{i}]" for i in (1, 2, 3))]
    )
    quarter_turn = ["0", "-1", "0", "1", "0", "0", "0", "0", "1", "0", "0", "0"]
    table.add_row(["1", *["1", "0", "0", "0", "1", "0", "0", "0", "1", "0", "0", "0"]])
    table.add_row(["2", *quarter_turn])
    table.add_row(
        ["3", *["1", "0", "0", "0", "1", "0", "0", "0", "1", "100", "0", "0"]]
    )  # a shift along x, before the turn
    path = tmp_path / "assembly.cif"
    path.write_text(document.as_string())
    atoms = read_atoms(path, assembly="1")
    expected = np.array([[100, 0, 0], [110, 0, 0], [0, 100, 0], [0, 110, 0.0]])
    shift = atoms.positions - expected
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-3)
    with pytest.raises(StructureError, match=r"no biological assembly '9'; it has: 1"):
        read_atoms(path, assembly="9")


@pytest.mark.parametrize(
    ("name", "assembly", "atoms"),
    [
        ("1m4x.cif.gz", "PAU", 28 * 9693),
        ("1jb0.pdb.gz", "1", 3 * 24198),
        ("1f2n.cif.gz", "1", 60 * 4730),
    ],
)
def test_real_assemblies_have_all_their_copies(shared, name, assembly, atoms):
    assert len(read_atoms(shared / "structures" / name, assembly=assembly)) == atoms


@pytest.mark.parametrize(
    ("lines", "end", "message"),
    [
        ([], "", "empty"),
        (["HEADER    NOTHING\n"], "END\n", "no atoms"),
        ([*LINE, LINE[0][:60]], "", "truncated"),
        ([pdb_line(1, (0, 0, 0), "X")], "END\n", "unknown element"),
        ([pdb_line(1, (0, 0, 0), occupancy=0.0)], "END\n", "occupancy zero"),
    ],
)
def test_bad_files_are_refused_with_a_reason(write_pdb, lines, end, message):
    with pytest.raises(StructureError, match=message):
        read_atoms(write_pdb(lines, end=end))


def test_a_pattern_that_matches_no_chain_names_the_chains(write_pdb):
    with pytest.raises(StructureError, match="no chain matches 'Z'; the file has chains A, B"):
        read_atoms(write_pdb(LINE), chains="Z")


def test_a_packed_structure_takes_memory_for_its_text_alone(write_pdb, tmp_path):
    packed = tmp_path / "a.pdb.gz"
    packed.write_bytes(gzip.compress(write_pdb(LINE).read_bytes()))
    tracemalloc.start()
    try:
        count_models(packed)
        assert tracemalloc.get_traced_memory()[1] < 2**25, "not for the most that there may be"
    finally:
        tracemalloc.stop()


def test_truncated_gzip_is_refused(repository, tmp_path):
    cut = tmp_path / "cut.cif.gz"
    cut.write_bytes((repository / "data" / "4v5d.cif.gz").read_bytes()[:100_000])
    with pytest.raises(StructureError, match="truncated"):
        read_atoms(cut)


def test_a_truncated_mmcif_table_is_refused(write_pdb, tmp_path):
    text = gemmi.read_structure(str(write_pdb(LINE))).make_mmcif_document().as_string()
    cut = tmp_path / "cut.cif"
    cut.write_text(text[: text.index("_atom_site.") + 600].rsplit(" ", 3)[0])
    with pytest.raises(StructureError):
        read_atoms(cut)


def test_shipped_structures_have_their_recorded_checksums():
    recorded = [
        line.split() for line in (shipped_directory() / "SHA256SUMS").read_text().splitlines()
    ]
    assert recorded
    for digest, name in recorded:
        assert sha256(shipped_directory() / name) == digest


def test_structures_are_found_by_path_directory_variable_and_name(write_pdb, tmp_path, monkeypatch):
    path = write_pdb(LINE, name="mine.pdb")
    assert locate(path) == path
    assert locate("mine", directory=tmp_path) == path
    monkeypatch.setenv("XRAI_STRUCTURES", str(tmp_path))
    assert locate("MINE") == path
    assert locate("4V5D").name == "4v5d.cif.gz"
    with pytest.raises(StructureError, match="no such file"):
        locate(tmp_path / "absent.pdb")
    with pytest.raises(StructureError, match="not a PDB identifier"):
        locate("nonsense")
