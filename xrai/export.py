"""What a run leaves for others: the intensity as HDF5 and MRC, the poses, a summary."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from xrai.checkpoint import State
from xraisim.core.json_text import to_json
from xraisim.files.atomic import disk_errors, require_space, whole_file, write_text
from xraisim.files.texts import describe
from xraisim.files.volumes import write_volume

Summary = dict[str, float | int | str]


def write(state: State, directory: Path, summary: Summary) -> Summary:
    """Write ``intensity.h5`` and ``.mrc``, the halves, ``poses.h5`` and ``summary.json``."""
    with disk_errors(directory):
        write_intensity(state, directory)
        write_poses(
            directory / "poses.h5",
            {name: values.numpy() for name, values in state.outcome().items()},
        )
        write_text(directory / "summary.json", to_json(summary, indent=2))
    return summary


def write_intensity(state: State, directory: Path) -> list[Path]:
    """Write the intensity of a state under both formats; return the paths."""
    volume = state.require_volume().to("cpu")
    paths = [directory / "intensity.h5", directory / "intensity.mrc"]
    # Before the march ends the volume reaches less far than the pixels.
    reach = min(state.extent["s_max_per_angstrom"], (volume.grid // 2 - 1) * volume.spacing)
    known = {**state.extent, "s_max_per_angstrom": reach, "rounds": state.rounds}
    write_volume(paths[0], volume, known)
    write_volume(paths[1], volume)
    if len(state.volumes) == 2:
        for number, half in enumerate(state.volumes, 1):
            paths.append(directory / f"half_{number}.h5")
            write_volume(paths[-1], half.to("cpu"), known)
    return paths


def write_poses(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write arrays over patterns, quaternions as (w, x, y, z), whole or not at all."""
    with whole_file(path) as partial:
        require_space(path, sum(values.nbytes for values in columns.values()))
        with h5py.File(partial, "w") as file:
            describe(file, {"convention": _CONVENTION})
            for name, values in columns.items():
                file[name] = values
                describe(file[name], {"units": _UNITS.get(name, "1")})


_CONVENTION = "pattern(s) = V(R(q)^T s), q = (w, x, y, z), active rotation"
_UNITS = {
    "loglik": "nat",
    "mate_margin": "nat",
    "misfit": "standard deviation",
    "error_deg": "degree",
}
