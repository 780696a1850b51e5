"""How often phasing succeeds: single starts from exact intensities, density FSC against the atoms.

``python -m benchmarks.studies.phasing.success --structures DIR --out runs/phasing``

|F|² of the atoms on the grid that a reconstruction uses, known between the beamstop and the edge of
the ``quick`` task. Every start goes through both stages with the default settings, none is averaged
and none is dropped; it succeeds where its FSC with the atoms is above 0.5 in all shells.
"""

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Complex, Float
from rich.table import Table
from torch import Tensor

from baselines.phasing.config import PhasingConfig
from baselines.phasing.run import phase_starts
from benchmarks.studies.common import study_record
from xraisim import console
from xraisim.core.align import align_density, shift_structure_factors
from xraisim.core.fourier import crop_or_pad
from xraisim.core.fsc import fsc
from xraisim.core.merge import intensity_grid
from xraisim.core.radial import shell_s
from xraisim.core.types import Volume
from xraisim.sample.locate import locate
from xraisim.sample.structure import read_atoms
from xraisim.scattering.structure_factor import structure_factor_grid

STRUCTURES = (("4v5d", "B*"), ("6zu5", "*"), ("4v1w", "*"))
S_RANGE = (0.004, 0.0625)
_OVERSAMPLING = 3.2  # samples per 1/D, as EMC's and X-RAI's volumes have
_ALIGNED_AT = 0.6  # of the edge: enough for hand and shift, and several times cheaper


@dataclasses.dataclass(frozen=True, kw_only=True)
class Success:
    """One structure's starts: ``edge_fsc`` in the last whole shell, ``lowest_fsc`` in any."""

    structure: str
    diameter_angstrom: float
    grid: int
    starts: int
    succeeded: int
    edge_fsc: tuple[float, ...]
    lowest_fsc: tuple[float, ...]
    r_factors: tuple[float, ...]
    twin_overlaps: tuple[float, ...]
    twins_broken: int
    cpu_s_per_start: float


def measure(structure: str, chains: str, options: argparse.Namespace) -> Success:
    """Phase ``options.starts`` starts of one structure and judge each."""
    atoms = read_atoms(locate(structure, directory=options.structures), chains=chains)
    diameter = atoms.diameter_angstrom
    grid, spacing = intensity_grid(S_RANGE[1], diameter, _OVERSAMPLING)
    F = torch.from_numpy(structure_factor_grid(atoms, grid, spacing, None))
    intensity = Volume(values=F.abs() ** 2, spacing=spacing, kind="intensity")
    config = PhasingConfig(
        diameter_angstrom=diameter,
        s_min_per_angstrom=S_RANGE[0],
        s_max_per_angstrom=S_RANGE[1],
        starts=options.starts,
        refined=options.starts,
    )
    began = time.process_time()
    with console.progress(structure, config.iterations) as advance:
        found = phase_starts(intensity, config, options.seed, advance)
    cpu = time.process_time() - began
    stage = found.stage
    truth = crop_or_pad(F, stage.size)
    s = shell_s(stage.size, spacing)
    inside = (s >= S_RANGE[0] + spacing / 2) & (s <= S_RANGE[1] - spacing / 2)
    curves = [_fsc(one, truth, spacing)[inside] for one in stage.factors(found.starts)]
    lowest = [float(curve.min()) for curve in curves]
    return Success(
        structure=structure,
        diameter_angstrom=round(diameter, 1),
        grid=stage.grid,
        starts=options.starts,
        succeeded=sum(value >= 0.5 for value in lowest),
        edge_fsc=tuple(round(float(curve[-1]), 4) for curve in curves),
        lowest_fsc=tuple(round(value, 4) for value in lowest),
        r_factors=tuple(round(value, 4) for value in found.starts.r_factor),
        twin_overlaps=tuple(round(value, 3) for value in stage.twin_overlaps(found.starts)),
        twins_broken=found.twins_broken,
        cpu_s_per_start=round(cpu / options.starts, 2),
    )


def _fsc(
    found: Complex[Tensor, "G G G"], truth: Complex[Tensor, "G G G"], spacing: float
) -> Float[Tensor, "shells"]:
    """Return the FSC after hand and shift have been found at lower resolution."""
    size = 2 * int(_ALIGNED_AT * (len(truth) // 2)) + 1
    s_range = (S_RANGE[0], _ALIGNED_AT * S_RANGE[1])
    placed = align_density(crop_or_pad(found, size), crop_or_pad(truth, size), spacing, s_range)
    chosen = found.conj() if placed.inverted else found
    return fsc(shift_structure_factors(chosen, placed.shift_angstrom, spacing), truth)


def table(record: dict[str, Any]) -> Table:
    """Return one line per structure."""
    title = study_record.heading("single starts from exact intensities", record)
    names = ("structure", "diameter (Å)", "grid", "FSC 0.5 at the edge", "edge FSC",
             "R-factor", "twin overlap", "processor s/start")  # fmt: skip
    rows = (
        (
            row.structure,
            f"{row.diameter_angstrom:.0f}",
            f"{row.grid}³",
            f"{row.succeeded} of {row.starts}",
            f"{min(row.edge_fsc):.2f} … {max(row.edge_fsc):.2f}",
            f"{min(row.r_factors):.3f} … {max(row.r_factors):.3f}",
            f"{min(row.twin_overlaps):.2f} … {max(row.twin_overlaps):.2f}",
            f"{row.cpu_s_per_start:.1f}",
        )
        for row in (Success(**one) for one in record["structures"])
    )
    return study_record.table(title, names, rows)


def main() -> None:
    """Measure, write ``phasing_success.json`` and print the table."""
    parser = study_record.parser(__doc__, "runs/phasing")
    parser.add_argument("--structures", type=Path, help="directory to look for structures in first")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    record = study_record.circumstances() | {"s_range_per_angstrom": S_RANGE, "structures": []}
    for structure, chains in STRUCTURES:
        found = measure(structure, chains, options)
        record["structures"].append(dataclasses.asdict(found))
        study_record.write(options.out / "phasing_success.json", record)
    study_record.conclude(options.out / "phasing_success.json", record, table(record))


if __name__ == "__main__":
    main()
