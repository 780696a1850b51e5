"""Error of the simulator's expected photons against a direct sum over atoms, shell by shell.

Two relative rms errors of |F|² per shell, rms(I − I_direct) / rms(I_direct), at random points: of
the spline's look-ups, with its coefficients rounded as the draw rounds them, and of the non-uniform
FFT alone, at grid points. ``python -m benchmarks.studies.simulator.accuracy 4v6x --structures DIR``
goes to the corner of the instrument's detector; `tests/xraisim/photons/test_photons.py` holds a few
hundred points of the same.
"""

import argparse
import dataclasses
import itertools

import numpy as np

from xraisim.instrument.detector import geometry
from xraisim.instrument.presets import preset
from xraisim.photons.lookup import round_to_bfloat16
from xraisim.sample.locate import locate
from xraisim.sample.structure import Atoms, read_atoms
from xraisim.scattering.intensity import (
    VOXELS_PER_SPECKLE,
    intensity_cube,
    intensity_spline,
    look_up,
    plan_grid,
)
from xraisim.scattering.structure_factor import structure_factor_direct


def shell_points(edges: np.ndarray, per_shell: int) -> np.ndarray:
    """Return points of random directions, [shells, per_shell, 3] Å⁻¹."""
    rng = np.random.default_rng(0)
    radius = np.stack(
        [rng.uniform(low, high, per_shell) for low, high in itertools.pairwise(edges)]
    )
    direction = rng.normal(size=(*radius.shape, 3))
    return radius[..., None] * direction / np.linalg.norm(direction, axis=-1, keepdims=True)


def relative_error(found: np.ndarray, direct: np.ndarray) -> np.ndarray:
    """Return the relative rms error of every row."""
    return np.sqrt(((found - direct) ** 2).mean(1) / (direct**2).mean(1))


def direct_intensity(atoms: Atoms, s: np.ndarray, energy_ev: float) -> np.ndarray:
    """Return |F|² of the plain sum at ``s`` [..., 3] Å⁻¹."""
    F = structure_factor_direct(atoms, s.reshape(-1, 3), energy_ev)
    return (np.abs(F) ** 2).reshape(s.shape[:-1])


def transform_errors(
    atoms: Atoms, s: np.ndarray, grid: int, spacing: float, energy_ev: float
) -> np.ndarray:
    """Return the error of the non-uniform FFT at the grid points nearest to ``s``, per shell."""
    index = np.rint(s / spacing).astype(int)
    cube = intensity_cube(atoms, grid, spacing, energy_ev)
    found = cube[tuple(np.moveaxis(index + grid // 2, -1, 0))]
    return relative_error(found, direct_intensity(atoms, index * spacing, energy_ev))


def main() -> None:
    """Print the table for the structure named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("structure", nargs="?", default="4v5d")
    parser.add_argument("--chains", default="*")
    parser.add_argument("--assembly", default="")
    parser.add_argument("--structures", help="a directory to look for the structure in")
    parser.add_argument("--instrument", default="xrai2025")
    parser.add_argument("--s-max", type=float, help="Å⁻¹, instead of the instrument's corner")
    parser.add_argument("--points", type=int, default=150, help="per shell")
    parser.add_argument("--voxels", type=float, default=VOXELS_PER_SPECKLE, help="per 1/D")
    given = parser.parse_args()
    seen = preset(given.instrument)
    energy = seen.beam.photon_energy_ev
    s_max = given.s_max or geometry(seen.detector, seen.beam).s_max
    path = locate(given.structure, directory=given.structures)
    atoms = read_atoms(path, chains=given.chains, assembly=given.assembly)
    edges = np.concatenate([np.arange(0, 0.02, 0.0025), np.linspace(0.02, s_max, 15)])
    s = shell_points(edges, given.points)
    grid, spacing = plan_grid(atoms.diameter_angstrom, s_max, given.voxels)
    volume = intensity_spline(atoms, s_max, energy, voxels_per_speckle=given.voxels)
    volume = dataclasses.replace(volume, coefficients=round_to_bfloat16(volume.coefficients))
    found = look_up(volume, s.reshape(-1, 3)).reshape(s.shape[:-1])
    del volume
    total = 100 * relative_error(found, direct_intensity(atoms, s, energy))
    transform = 100 * transform_errors(atoms, s, grid, spacing, energy)
    print(f"{path.name} {given.chains}: {len(atoms)} atoms, {atoms.diameter_angstrom:.0f} Å, ")
    print(f"{grid}³ voxels, {given.voxels:g} per 1/D, {energy:g} eV")
    print("| shell, Å⁻¹ | to, Å | look-up, % | transform alone, % |\n|---|---|---|---|")
    for low, high, a, b in zip(edges[:-1], edges[1:], total, transform, strict=True):
        print(f"| {low:.4f}–{high:.4f} | {1 / high:.1f} | {a:.3f} | {b:.4f} |")
    print(f"| median | | {np.median(total):.3f} | {np.median(transform):.4f} |")
    print(f"| worst | | {total.max():.3f} | {transform.max():.4f} |")


if __name__ == "__main__":
    main()
