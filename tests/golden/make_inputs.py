"""The inputs of the cases: a particle, its patterns with truth, its intensity. Made once.

``python -m tests.golden.make_inputs`` writes them again; every expected result then has to follow.
"""

from pathlib import Path

import numpy as np
import torch

from tests.golden import read
from tests.golden.cases import INTENSITY, PARTICLE, PATTERNS, TRUTH
from tests.golden.store import INPUTS
from xraisim.core.merge import intensity_grid
from xraisim.core.types import Volume
from xraisim.files.truth import truth_path
from xraisim.files.volumes import write_volume
from xraisim.sample.structure import read_atoms
from xraisim.scattering.structure_factor import structure_factor_grid
from xraisim.simulation import make
from xraisim.simulation.config import from_mapping

_S_MAX = 0.036
_ATOMS, _LUMPS = 240, 7


def _particle(path: Path) -> None:
    """Write uranium atoms in a few lumps: about 140 Å across."""
    random = np.random.default_rng(1)
    centres = random.normal(size=(_LUMPS, 3)) * 28
    places = centres[random.integers(0, _LUMPS, _ATOMS)] + random.normal(size=(_ATOMS, 3)) * 6
    lines = [
        f"HETATM{i:5d}  U   URA A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           U\n"
        for i, (x, y, z) in enumerate(places, 1)
    ]
    path.write_text("".join(lines) + "END\n")


def main() -> None:
    """Write the inputs."""
    INPUTS.mkdir(exist_ok=True)
    _particle(INPUTS / PARTICLE)
    settings = {
        "structure": str(INPUTS / PARTICLE),
        "patterns": 300,
        "beam": {"photons_per_pulse": 8e13},
        "detector": {
            "rows": 48, "columns": 48, "pixel_size_mm": 2.0833, "s_min_per_angstrom": 0.004,
            "s_max_per_angstrom": _S_MAX,
        },
        "fluence": {"distribution": "lognormal", "sigma": 0.3},
    }  # fmt: skip
    print(make.simulate(from_mapping(settings), INPUTS / PATTERNS))
    np.save(INPUTS / TRUTH, read.true_orientations(INPUTS / PATTERNS))
    truth_path(INPUTS / PATTERNS).unlink()  # made in large chunks
    atoms = read_atoms(INPUTS / PARTICLE)
    grid, spacing = intensity_grid(_S_MAX, atoms.diameter_angstrom, 2.5)
    F = torch.from_numpy(structure_factor_grid(atoms, grid, spacing, 4600.0))
    intensity = Volume(values=(F.abs() ** 2).float(), spacing=spacing, kind="intensity")
    write_volume(INPUTS / INTENSITY, intensity)
    print(f"intensity of {grid}³ voxels")


if __name__ == "__main__":
    main()
