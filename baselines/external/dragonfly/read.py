"""From Dragonfly's output back to volume, orientations, fluences and likelihoods of ours.

Its ``make_rot`` turns detector pixels by R(q)ᵀ, so its quaternions (w, x, y, z) are ours as they
stand. Its intensity is photons in a pixel of mean solid angle and polarisation, at mean fluence.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Float32, Float64

from baselines.external.dragonfly.write import OUTPUT, Input
from xraisim.core.errors import FormatError, reading
from xraisim.core.types import Volume
from xraisim.files.held import read_whole

_NAMES = ("intens", "orientations", "quaternions", "likelihood", "mutual_info")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The volume (electrons²) and, per pattern, what was found.

    ``loglik`` in nats, without the constant Σ log k!; ``information`` in nats.
    """

    volume: Volume
    orientations: Float32[np.ndarray, "N 4"]
    fluence: Float64[np.ndarray, "N"]
    loglik: Float64[np.ndarray, "N"]
    information: Float64[np.ndarray, "N"]


def output_path(folder: Path, iteration: int) -> Path:
    """Return the file of an iteration; 0 is the start, of which it keeps the volume only."""
    return folder / OUTPUT / f"output_{iteration:03d}.h5"


def read_iteration(folder: Path, iteration: int, given: Input) -> Estimate:
    """Read an iteration's output; raises :class:`FormatError` if it is of no use."""
    path = output_path(folder, iteration)
    found = _datasets(path)
    shape = found["intens"].shape
    if shape != (1, *3 * (given.grid,)) or len(found["orientations"]) != given.patterns:
        raise FormatError(
            f"{path} has volumes {shape} and {len(found['orientations'])} patterns; expected one "
            f"of {given.grid}³ voxels and {given.patterns} patterns"
        )
    best = found["orientations"]
    lost = int(((best < 0) | (best >= len(found["quaternions"]))).sum())
    if lost or not np.isfinite(found["intens"]).all():
        raise FormatError(
            f"{path}: {lost} patterns without an orientation, "
            f"{int((~np.isfinite(found['intens'])).sum())} voxels that are not numbers: Dragonfly "
            "has diverged; try fewer voxels (oversampling), more patterns, a larger d_min_angstrom"
        )
    values = torch.from_numpy(found["intens"][0] * given.electrons2).float()
    return Estimate(
        volume=Volume(values=values, spacing=given.spacing, kind="intensity"),
        orientations=found["quaternions"][best, :4].astype(np.float32),
        fluence=found.get("scale", np.ones(given.patterns)),
        loglik=log_likelihood(folder, iteration, given),
        information=found["mutual_info"],
    )


def log_likelihood(folder: Path, iteration: int, given: Input) -> Float64[np.ndarray, "N"]:
    """Return the posterior mean of LL + log w of every pattern, nats, without Σ log k!.

    w is the weight of an orientation; the weights sum to one. K log φ, which Dragonfly leaves out,
    is put back with the fluences that the iteration began with.
    """
    stored = _datasets(output_path(folder, iteration))["likelihood"]
    began = _datasets(output_path(folder, iteration - 1), ("scale",))
    fluence = began.get("scale", np.ones(given.patterns))
    return stored + given.log_factorials + given.photons * np.log(np.maximum(fluence, 1e-300))


def _datasets(path: Path, names: tuple[str, ...] = (*_NAMES, "scale")) -> dict[str, np.ndarray]:
    log = f"see {path.parent.parent} for its log"
    with reading(path, "output of Dragonfly", log), h5py.File(path, "r") as file:
        missing = [name for name in names if name not in file and name != "scale"]
        if missing:
            raise KeyError(f"no {', '.join(missing)}")
        return {name: read_whole(file[name]) for name in names if name in file}
