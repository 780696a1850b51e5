"""What a reconstruction leaves in its run directory."""

import resource
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from baselines.emc.checkpoint import State
from baselines.emc.halves import combined, half_resolution
from baselines.emc.iterate import Estimate
from baselines.emc.models import Model
from baselines.emc.orientations import oriented
from baselines.emc.stage import Stage
from xraisim.core import so3
from xraisim.core.json_text import to_json
from xraisim.files.atomic import disk_errors, require_space, whole_file, write_text
from xraisim.files.patterns import PatternReader
from xraisim.files.texts import describe
from xraisim.files.volumes import write_volume

_FORMAT = "x-rai poses 1"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A reconstruction in figures.

    ``starts``: log-likelihood per photon (nats) that each random start reached; ``shares``: of the
    patterns, class by class; ``icc_half_angstrom``: where two half-sets cease to correlate, if
    there are two; ``occupancy``: mean probability of the best orientation; ``grid_spacing_deg``:
    of the orientations of the last level; ``peak_memory_gib``: of the first of the ``processes``.
    """

    patterns: int
    iterations: int
    seconds: float
    patterns_per_s: float
    d_min_angstrom: float
    rotations: int
    grid_spacing_deg: float
    log_likelihood_per_photon: float
    starts: tuple[float, ...]
    shares: tuple[float, ...]
    icc_half_angstrom: float | None
    occupancy: float
    peak_memory_gib: float
    device: str
    processes: int


class Log:
    """Appends one JSON object per iteration to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, keep: int) -> None:
        """Leave only the first ``keep`` lines, those of the iterations that are resumed."""
        path = self._path
        kept = path.read_text().splitlines(keepends=True)[:keep] if keep and path.exists() else []
        with disk_errors(path):
            path.write_text("".join(kept))

    def write(self, **values: float | int | None) -> None:
        """Append one entry."""
        with disk_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(to_json(values) + "\n")


def write_results(
    directory: Path, reader: PatternReader, stage: Stage, state: State, summary: Summary
) -> None:
    """Write volumes, poses and summary of a finished march."""
    estimate = combined(state.estimates, stage.chosen)
    attributes = {
        "method": "emc",
        "particle_diameter_angstrom": reader.info["particle_diameter_angstrom"],
        "s_min_per_angstrom": float(stage.pixels.radius[0]),
        "s_max_per_angstrom": float(stage.pixels.radius[-1]),
    }
    with disk_errors(directory):
        for name, model in _named(estimate, state.estimates).items():
            write_volume(directory / f"{name}.h5", model.volume, attributes, model.exposure)
            write_volume(directory / f"{name}.mrc", model.volume)
    _write_poses(directory / "poses.h5", stage, state, estimate)
    write_text(directory / "summary.json", to_json(asdict(summary), indent=2) + "\n")


def _named(estimate: Estimate, estimates: list[Estimate]) -> dict[str, Model]:
    """Return what is written: the most frequent class, every class, the half-sets of the first."""
    particles = [model for model in estimate.models if not model.isotropic]
    named = {"intensity": max(particles, key=lambda model: model.share)}
    if len(estimate.models) > 1:
        numbered = enumerate(estimate.models, start=1)
        named |= {f"intensity_{number}": model for number, model in numbered}
    if len(estimates) == 2:
        halves = enumerate(estimates, start=1)
        named |= {f"intensity_half{number}": one.models[0] for number, one in halves}
    return named


def summarise(stage: Stage, state: State, device: torch.device) -> Summary:
    """Return the figures of a finished march."""
    assert state.poses is not None
    assert state.evidence is not None
    patterns, rotations = int(stage.chosen.sum()), len(stage.orientations)
    return Summary(
        patterns=patterns,
        iterations=state.lines,
        seconds=state.seconds,
        patterns_per_s=patterns / state.seconds,
        d_min_angstrom=stage.d_min_angstrom,
        rotations=rotations,
        grid_spacing_deg=float(np.rad2deg(so3.spacing(rotations))),
        log_likelihood_per_photon=state.evidence,
        starts=tuple(state.starts),
        shares=tuple(model.share for model in combined(state.estimates, stage.chosen).models),
        icc_half_angstrom=half_resolution(state.estimates, stage.s_max_per_angstrom),
        occupancy=float(state.poses.occupancy[stage.chosen].mean()),
        peak_memory_gib=_peak_gib(device),
        device=str(device),
        processes=stage.processes.count,
    )


def _peak_gib(device: torch.device) -> float:
    """Return the most memory that was in use: of the GPU if there is one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _write_poses(path: Path, stage: Stage, state: State, estimate: Estimate) -> None:
    assert state.poses is not None
    poses = state.poses
    column, angle = poses.best.unbind(1)
    found = oriented(stage.columns.frames.cpu()[column], angle, stage.columns.angles)
    columns: Mapping[str, torch.Tensor] = {
        "orientations": found.where(stage.chosen[:, None], torch.nan),
        "fluence": estimate.fluence.where(stage.chosen, torch.nan),
        "likelihood": poses.likelihood.float(),
        "occupancy": poses.occupancy.float(),
        "mutual_information": poses.information.float(),
        "evidence": poses.evidence.float(),
        "class_id": stage.columns.number[column].to(torch.int16) + 1,
    }
    with whole_file(path) as partial:
        require_space(path, sum(values.nbytes for values in columns.values()))
        with h5py.File(partial, "w") as file:
            describe(file, {"format": _FORMAT})
            for name, values in columns.items():
                file[name] = values.numpy()
            describe(file["orientations"], {"convention": "quaternion w x y z, particle to lab"})
            for name in ("likelihood", "evidence"):
                describe(file[name], {"units": "nats, without the constant sum of log k!"})
            describe(file["class_id"], {"meaning": "number of the volume intensity_<n>, from 1"})
