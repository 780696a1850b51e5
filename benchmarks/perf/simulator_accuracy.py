"""Error of the simulator's expected photons against a direct sum over atoms, shell by shell.

Run as ``python benchmarks/perf/simulator_accuracy.py [STRUCTURE [CHAINS [S_MAX]]]``; prints the
relative rms error of every shell: rms(λ − λ_direct) / rms(λ_direct). tests/xraisim/test_accuracy.py
holds the same on a few hundred points.
"""

import itertools
import sys

import numpy as np

from xraisim.intensity import intensity_spline
from xraisim.photons import look_up
from xraisim.scattering import structure_factor_direct
from xraisim.structure import Atoms, locate, read_atoms

ENERGY_EV = 4600.0


def shell_errors(
    atoms: Atoms, s_max: float, edges: np.ndarray, per_shell: int, voxels_per_speckle: float
) -> np.ndarray:
    """Return the relative rms error in every shell between ``edges`` (Å⁻¹), random directions."""
    rng = np.random.default_rng(0)
    radius = np.concatenate([rng.uniform(a, b, per_shell) for a, b in itertools.pairwise(edges)])
    direction = rng.normal(size=(len(radius), 3))
    s = radius[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    direct = np.abs(structure_factor_direct(atoms, s, ENERGY_EV)) ** 2
    volume = intensity_spline(atoms, s_max, ENERGY_EV, voxels_per_speckle=voxels_per_speckle)
    error, direct = (x.reshape(-1, per_shell) for x in (look_up(volume, s) - direct, direct))
    return np.sqrt((error**2).mean(1) / (direct**2).mean(1))


def main() -> None:
    """Print the table for the structure named on the command line."""
    structure, chains, s_max, *_ = [*sys.argv[1:], *("4v5d", "*", "0.1246")[len(sys.argv) - 1 :]]
    atoms, top = read_atoms(locate(structure), chains=chains), float(s_max)
    edges = np.concatenate([np.arange(0, 0.02, 0.0025), np.linspace(0.02, top, 15)])
    print(f"{structure} {chains}: {len(atoms)} atoms, {atoms.diameter_angstrom:.0f} Å")
    for voxels in (2.5, 3.0, 3.5):
        errors = 100 * shell_errors(atoms, top, edges, 150, voxels)
        print(f"{voxels} voxels per 1/D, % in {len(errors)} shells:", np.round(errors, 2))


if __name__ == "__main__":
    main()
