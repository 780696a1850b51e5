"""Alignment and scoring of a known result."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.comparison import Reconstruction, ScoreConfig, TrueParticle
from benchmarks.metrics import METRICS
from benchmarks.metrics.icc_truth import match_intensity
from benchmarks.record import Curve
from benchmarks.score import score
from tests.golden.cases import INTENSITY, PARTICLE, PATTERNS, TRUTH, Result, case
from tests.golden.quantity import curve, figures, poses
from xraisim.core import rotations, so3
from xraisim.core.align import shift_structure_factors
from xraisim.core.fourier import reciprocal, to_density
from xraisim.core.random import generator
from xraisim.core.types import Volume
from xraisim.files.patterns import PatternReader
from xraisim.files.volumes import read_volume
from xraisim.sample.structure import read_atoms
from xraisim.scattering.structure_factor import structure_factor_grid

_ENERGY_EV = 4600.0


@case("align-score")
def _score(directory: Path, inputs: Path) -> Result:
    """Score the true intensity with noise, of the particle as it lies; a density of either hand."""
    atoms = read_atoms(inputs / PARTICLE)
    volume = read_volume(inputs / INTENSITY)
    truth = torch.from_numpy(np.load(inputs / TRUTH))
    with PatternReader(inputs / PATTERNS) as reader:
        radius = reader.pixels.radius
    s_range = float(radius[0]), float(radius[-1])
    draw = generator(1, "noise")
    noisy = volume.values * (1 + 0.5 * torch.randn(volume.values.shape, generator=draw))
    F = torch.from_numpy(structure_factor_grid(atoms, volume.grid, volume.spacing, _ENERGY_EV))
    moved = shift_structure_factors(F.conj(), torch.tensor([7.0, 0.0, -3.0]), volume.spacing)
    found = score(
        Reconstruction(
            intensity=Volume(values=noisy.float(), spacing=volume.spacing, kind="intensity"),
            density=Volume(
                values=to_density(moved, volume.spacing),
                spacing=reciprocal(volume.grid, volume.spacing),
                kind="density",
            ),
            prtf=Curve(name="prtf", s_per_angstrom=(0.01, 0.03), value=(1.0, 0.2)),
            orientations=so3.perturb(truth, 1, 0.03, draw)[:, 0],
        ),
        TrueParticle(
            particle=atoms, photon_energy_ev=_ENERGY_EV, orientations=truth, s_range=s_range
        ),
        ScoreConfig(align_fine_angstrom=30.0, slice_points=21),
        0,
    )  # fmt: skip
    frame = match_intensity(
        volume,
        TrueParticle(
            particle=atoms, photon_energy_ev=_ENERGY_EV, orientations=truth, s_range=s_range
        ),
        ScoreConfig(align_fine_angstrom=30.0),
        0,
    )[0]
    values = {name: value.value for name, value in found.metrics.items()}
    return {
        **{one.name: curve(one.value) for one in found.curves},
        "frame": poses(rotations.normalize(frame.quaternion)[None], 0.1),
        "resolutions": figures({one: values[one] for one in values if METRICS[one].unit == "Å"}),
        "pose error": figures(
            {"median": values["pose_error_median_deg"], "p90": values["pose_error_p90_deg"]}, 0.02
        ),
    }
