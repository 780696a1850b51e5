"""What a run leaves for others: the intensity as HDF5 and MRC, the poses, the result."""

from pathlib import Path

from xrai.state.state import State
from xraisim.files.atomic import disk_errors
from xraisim.files.poses import write_poses
from xraisim.files.result import HALVES, INTENSITY, POSES, Result, write_result
from xraisim.files.volumes import write_volume


def write(state: State, directory: Path, result: Result) -> None:
    """Write ``intensity.h5`` and ``.mrc``, the halves, ``poses.h5`` and ``result.json``."""
    with disk_errors(directory):
        write_intensity(state, directory)
        columns = {name: values.numpy() for name, values in state.outcome().items()}
        write_poses(directory / POSES, columns, state.patterns)
        write_result(directory, result)


def write_intensity(state: State, directory: Path) -> list[Path]:
    """Write the intensity of a state under both formats; return the paths."""
    volume = state.require_volume().to("cpu")
    paths = [directory / INTENSITY, (directory / INTENSITY).with_suffix(".mrc")]
    # Before the last rounds the volume reaches less far than the pixels.
    reach = min(state.extent["s_max_per_angstrom"], (volume.grid // 2 - 1) * volume.spacing)
    measured = {**state.extent, "s_max_per_angstrom": reach, "rounds": state.rounds}
    write_volume(paths[0], volume, measured)
    write_volume(paths[1], volume)
    if len(state.volumes) == 2:
        for name, half in zip(HALVES, state.volumes, strict=True):
            paths.append(directory / name)
            write_volume(paths[-1], half.to("cpu"), measured)
    return paths
