import dataclasses

import gemmi
import numpy as np
import pytest

from xraisim.core.errors import SamplingError
from xraisim.core.rotations import to_matrix
from xraisim.core.so3 import super_fibonacci
from xraisim.core.units import CLASSICAL_ELECTRON_RADIUS_UM, wavelength_angstrom
from xraisim.instrument.detector import polarisation_factor, scattering_vectors
from xraisim.sample.structure import Atoms, read_atoms
from xraisim.scattering.structure_factor import (
    structure_factor_direct,
    structure_factor_grid,
)

ENERGY_EV = 4600.0


def sphere(n: int) -> np.ndarray:
    """Near-uniform directions [n, 3]: a Fibonacci spiral."""
    z = 1 - (2 * np.arange(n) + 1) / n
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], 1)


@pytest.mark.parametrize(
    ("name", "total", "gyration", "mean"),
    [
        ("193l.pdb.gz", 6667.354, 13.859, 0.774927),
        ("4ake.pdb.gz", 23007.76, 25.62, 0.419429),
        ("4hhb.cif.gz", 31718.77, 23.59, 0.463732),
    ],
)
def test_published_totals_are_reproduced(shared, name, total, gyration, mean):
    """F(0), radius of gyration and the orientational mean of I(s)/I(0) at s = 0.01 Å⁻¹."""
    atoms = read_atoms(shared / "structures" / name)
    assert atoms.electrons == pytest.approx(total, rel=1e-6)
    weight = atoms.point_electrons
    centre = np.average(atoms.positions, axis=0, weights=weight)
    squared = ((atoms.positions - centre) ** 2).sum(1)
    assert np.average(squared, weights=weight) ** 0.5 == pytest.approx(gyration, abs=0.006)
    F = structure_factor_direct(atoms, 0.01 * sphere(300), None, b_factors=False)
    assert (np.abs(F) ** 2).mean() / total**2 == pytest.approx(mean, rel=2e-4)


@pytest.mark.parametrize(("angle_deg", "photons"), [(180.0, 166.3), (30.0, 130.4)])
def test_lysozyme_scatters_the_published_number_of_photons(shared, angle_deg, photons):
    """8 keV, 1e14 photons/µm², unpolarised: integrates gain × |F|² over the sphere."""
    atoms, wavelength = read_atoms(shared / "structures" / "193l.pdb.gz"), wavelength_angstrom(8000)
    node, weight = np.polynomial.legendre.leggauss(100)
    low = np.cos(np.radians(angle_deg))
    cosine = low + (node + 1) / 2 * (1 - low)
    weight = weight * (1 - low) / 2 * 2 * np.pi  # solid angle of each ring
    sine = np.sqrt(1 - cosine**2)
    position = np.stack([sine, np.zeros_like(sine), cosine], 1)
    polarisation = polarisation_factor(position, "unpolarised")
    rotation = to_matrix(super_fibonacci(400)).numpy()
    s = np.einsum("nij,pi->npj", rotation, scattering_vectors(position, wavelength))
    F = structure_factor_direct(atoms, s.reshape(-1, 3), None, b_factors=False).reshape(400, 100)
    per_ring = (np.abs(F) ** 2).mean(0) * polarisation * weight
    total = 1e14 * CLASSICAL_ELECTRON_RADIUS_UM**2 * per_ring.sum()
    assert total == pytest.approx(photons, rel=0.01)


@pytest.mark.parametrize("energy_ev", [None, ENERGY_EV])
def test_the_grid_agrees_with_the_sum_over_atoms(cloud, energy_ev):
    grid, spacing = 41, 0.006
    F = structure_factor_grid(cloud, grid, spacing, energy_ev)
    index = np.random.default_rng(0).integers(0, grid, (500, 3))
    direct = structure_factor_direct(cloud, (index - grid // 2) * spacing, energy_ev)
    error = F[tuple(index.T)] - direct
    assert np.sqrt((np.abs(error) ** 2).mean() / (np.abs(direct) ** 2).mean()) < 5e-4


def test_the_sum_over_atoms_is_the_formula_written_out(cloud):
    s = np.array([[0.02, -0.03, 0.05]])
    expected = 0
    for r, z, occupancy, b in zip(
        cloud.positions, cloud.elements, cloud.occupancy, cloud.b_iso, strict=True
    ):
        squared = (s**2).sum()
        f = gemmi.Element(int(z)).it92.calculate_sf(squared / 4)
        f += complex(*gemmi.cromer_liberman(int(z), ENERGY_EV))
        phase = np.exp(2j * np.pi * (s[0] @ r))
        expected += occupancy * f * phase * np.exp(-b * squared / 4)
    found = structure_factor_direct(cloud, s, ENERGY_EV)[0]
    assert found == pytest.approx(expected, rel=1e-6)  # gemmi computes in float32


def test_b_factors_can_be_left_out(cloud):
    s = 0.1 * sphere(20)
    still = dataclasses.replace(cloud, b_iso=np.zeros(len(cloud)))
    np.testing.assert_allclose(
        structure_factor_direct(cloud, s, None, b_factors=False),
        structure_factor_direct(still, s, None),
    )
    damped = np.abs(structure_factor_direct(cloud, s, None))
    assert not np.allclose(damped, np.abs(structure_factor_direct(still, s, None)), rtol=0.01)


def test_friedels_law_holds_without_anomalous_terms_only(cloud):
    s = 0.05 * sphere(50)

    def asymmetry(energy_ev):
        plus = np.abs(structure_factor_direct(cloud, s, energy_ev)) ** 2
        minus = np.abs(structure_factor_direct(cloud, -s, energy_ev)) ** 2
        return np.abs(plus - minus).max() / plus.max()

    assert asymmetry(None) < 1e-12
    assert 1e-6 < asymmetry(ENERGY_EV) < 0.5


def test_a_shift_is_a_phase(cloud):
    shift, s = np.array([3.0, -5.0, 7.0]), 0.04 * sphere(10)
    moved = Atoms(
        positions=cloud.positions + shift,
        elements=cloud.elements,
        occupancy=cloud.occupancy,
        b_iso=cloud.b_iso,
    )
    expected = structure_factor_direct(cloud, s, ENERGY_EV) * np.exp(2j * np.pi * s @ shift)
    np.testing.assert_allclose(structure_factor_direct(moved, s, ENERGY_EV), expected, rtol=1e-9)


def test_even_grids_and_too_large_angles_are_refused(cloud):
    with pytest.raises(SamplingError, match="odd number"):
        structure_factor_grid(cloud, 40, 0.01, None)
    with pytest.raises(SamplingError, match="beyond the form-factor tables"):
        structure_factor_direct(cloud, np.array([[4.5, 0, 0]]), None)
