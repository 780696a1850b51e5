import gemmi
import numpy as np
import pytest

from xraisim.core.errors import ConfigError
from xraisim.sample.shapes import Body
from xraisim.sample.solvent import Hydrated, Solvent, hydrate, vdw_radii_angstrom
from xraisim.sample.structure import Atoms, locate, read_atoms
from xraisim.scattering.friedel import slabs
from xraisim.scattering.intensity import intensity_cube
from xraisim.scattering.structure_factor import structure_factor_direct

IN_WATER = Solvent(enabled=True)


def atoms_at(positions, element: int = 6) -> Atoms:
    n = len(positions)
    return Atoms(
        positions=np.asarray(positions, float),
        elements=np.full(n, element, np.int16),
        occupancy=np.ones(n, np.float32),
        b_iso=np.zeros(n, np.float32),
    )


@pytest.fixture(scope="module")
def protein() -> Atoms:
    """One chain of a shipped ribosome, with its hydrogens: protein L2, residues as deposited."""
    return read_atoms(locate("4v5d"), chains="BD", add_hydrogens=True)


def test_the_mask_of_one_large_atom_is_a_ball():
    """Compared to the closed form of a sphere of the same volume, to the mask's own roughness."""
    radius = 30.0
    one = atoms_at([[0.0, 0.0, 0.0]])
    probe = radius - float(vdw_radii_angstrom(one.elements)[0])
    ball = grown_ball(one, probe)
    sphere = Body(shape="sphere", size_angstrom=2 * radius, electrons_per_angstrom3=0.334)
    assert -ball.contrast.sum() * 0.7**3 == pytest.approx(sphere.electrons, rel=0.01)
    for slab in slabs(20, 0.002, ball=True):
        expected = 0.334 * sphere.transform(*slab.axes)
        difference = ball.voxel_transform(slab) + expected
        assert np.abs(difference).max() < 0.01 * sphere.electrons


def grown_ball(atoms: Atoms, probe: float) -> Hydrated:
    """Past the configuration's limits: a probe as large as the ball, and nothing shrunk."""
    solvent = Solvent(enabled=True, shrink_angstrom=0.0)
    object.__setattr__(solvent, "probe_angstrom", probe)
    return hydrate(atoms, solvent)


def test_a_protein_displaces_its_partial_specific_volume(protein):
    """0.73 cm³/g is 1.21 Å³/Da (Harpaz, Gerstein & Chothia 1994); within 10 %."""
    mass = sum(
        gemmi.Element(int(z)).weight * protein.occupancy[protein.elements == z].sum()
        for z in np.unique(protein.elements)
    )
    volume = len(hydrate(protein, IN_WATER).voxels) * 0.7**3
    assert volume / mass == pytest.approx(1.21, rel=0.1)
    fine = Solvent(enabled=True, voxel_angstrom=0.45)
    assert len(hydrate(protein, fine).voxels) * 0.45**3 == pytest.approx(volume, rel=0.06)
    density = protein.electrons / volume
    assert density == pytest.approx(0.43, rel=0.1)


def test_the_mask_agrees_with_gemmis(protein):
    """The same radii, probe and (half a voxel apart) shrinking in a periodic box."""
    box = np.array([140.0, 140.0, 140.0])
    cell = gemmi.UnitCell(*box, 90, 90, 90)
    model = gemmi.Model(1)
    model.add_chain("A")
    heavy = protein.elements > 1
    residue = gemmi.Residue()
    residue.name = "ALA"
    for position, z in zip(protein.positions[heavy], protein.elements[heavy], strict=True):
        atom = gemmi.Atom()
        atom.element = gemmi.Element(int(z))
        atom.pos = gemmi.Position(*(position + box / 2))
        residue.add_atom(atom)
    model["A"].add_residue(residue)
    grid = gemmi.FloatGrid(200, 200, 200)
    grid.set_unit_cell(cell)
    grid.spacegroup = gemmi.SpaceGroup("P 1")
    masker = gemmi.SolventMasker(gemmi.AtomicRadiiSet.VanDerWaals)
    masker.rprobe, masker.rshrink = 1.4, 1.1 + 0.35
    masker.put_mask_on_float_grid(grid, model)
    theirs = float((np.asarray(grid) == 0).sum()) * 0.7**3
    chosen = Atoms(
        positions=protein.positions[heavy],
        elements=protein.elements[heavy],
        occupancy=protein.occupancy[heavy],
        b_iso=protein.b_iso[heavy],
    )
    assert len(hydrate(chosen, IN_WATER).voxels) * 0.7**3 == pytest.approx(theirs, rel=0.02)


def test_the_amplitude_in_water_is_the_sum_over_atoms_less_the_sum_over_voxels(cloud):
    particle = hydrate(cloud, Solvent(enabled=True, shell_angstrom=3.0))
    grid, spacing = 31, 0.004
    found = intensity_cube(particle, grid, spacing, 4600.0)
    index = np.random.default_rng(0).integers(4, grid - 4, (60, 3))
    s = (index - grid // 2) * spacing
    within = (s**2).sum(1) < (15 * spacing) ** 2
    s, index = s[within], index[within]
    cube = 0.7**3 * np.sinc(0.7 * s).prod(1)
    water = np.exp(2j * np.pi * s @ particle.voxels.T.astype(float)) @ particle.contrast
    expected = np.abs(structure_factor_direct(cloud, s, 4600.0) + cube * water) ** 2
    error = found[tuple(index.T)] - expected
    assert np.sqrt((error**2).mean() / (expected**2).mean()) < 1e-3


def test_forward_scattering_is_the_excess_over_water(protein):
    particle = hydrate(protein, IN_WATER)
    displaced = 0.334 * len(particle.voxels) * 0.7**3
    assert particle.electrons == pytest.approx(protein.electrons - displaced, rel=1e-4)
    assert 0.15 < particle.electrons / protein.electrons < 0.3  # (0.43 − 0.334) / 0.43
    found = intensity_cube(particle, 11, 0.001, None)[5, 5, 5]
    assert found == pytest.approx(particle.electrons**2, rel=2e-3)


def test_a_hydration_shell_lies_outside_the_mask():
    particle = hydrate(atoms_at([[0, 0, 0], [4, 0, 0]]), Solvent(enabled=True, shell_angstrom=5.0))
    shell = particle.contrast > 0
    assert not set(map(tuple, particle.voxels[shell])) & set(map(tuple, particle.voxels[~shell]))
    radius = np.linalg.norm(particle.voxels[shell][:, None] - [[0, 0, 0], [4, 0, 0]], axis=-1)
    assert radius.min(1).max() <= 1.7 + 5.0 + 1e-4


def test_blocks_of_planes_do_not_show(cloud, monkeypatch):
    whole = hydrate(cloud, IN_WATER)
    monkeypatch.setattr("xraisim.sample.solvent._BLOCK_PLANES", 7)
    cut = hydrate(cloud, IN_WATER)
    np.testing.assert_array_equal(cut.voxels, whole.voxels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"voxel_angstrom": 1.0}, "expected 0.1 to 0.7"),
        ({"probe_angstrom": -1.0}, "solvent.probe_angstrom"),
        ({"shell_angstrom": 20.0}, "solvent.shell_angstrom"),
        ({"shell_contrast": float("nan")}, "solvent.shell_contrast"),
    ],
)
def test_impossible_solvents_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Solvent(**settings)
