"""Small particles and beams that several tests share."""

from pathlib import Path

import numpy as np
import pytest

from xraisim.sample.structure import Atoms


@pytest.fixture
def write_pdb(tmp_path: Path):
    """Return a function that writes PDB lines to a file with an END record."""

    def write(lines: list[str], name: str = "particle.pdb", end: str = "END\n") -> Path:
        path = tmp_path / name
        path.write_text("".join(lines) + end)
        return path

    return write


@pytest.fixture
def small_particle(write_pdb) -> Path:
    """A file with 40 atoms in a cloud of about 60 Å."""
    rng = np.random.default_rng(3)
    return write_pdb(
        [
            f"ATOM  {i:5d}  C   GLY A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           C\n"
            for i, (x, y, z) in enumerate(rng.normal(size=(40, 3)) * 12, 1)
        ]
    )


@pytest.fixture(scope="session")
def cloud() -> Atoms:
    """120 atoms within 40 Å of the centre, with B factors and partial occupancies."""
    rng = np.random.default_rng(5)
    positions = rng.normal(size=(120, 3))
    positions *= (
        40
        * rng.uniform(0, 1, (120, 1)) ** (1 / 3)
        / np.linalg.norm(positions, axis=1, keepdims=True)
    )
    return Atoms(
        positions=positions,
        elements=rng.choice([6, 7, 8, 16], 120),
        occupancy=rng.choice([1.0, 0.5], 120, p=[0.9, 0.1]),
        b_iso=rng.uniform(5, 120, 120),
    )
