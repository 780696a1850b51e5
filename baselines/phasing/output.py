"""What a phasing run leaves in its directory."""

import io
from dataclasses import asdict
from pathlib import Path

from baselines.phasing.config import PhasingConfig
from baselines.phasing.figure import figure
from baselines.phasing.run import PhasingResult
from xraisim import __version__
from xraisim.core import config as toml
from xraisim.core import machine
from xraisim.core.device import choose_device
from xraisim.files import result as result_file
from xraisim.files.atomic import disk_errors, write_bytes, write_text
from xraisim.files.result import Result
from xraisim.files.volumes import write_volume


def result_of(result: PhasingResult, config: PhasingConfig, seed: int) -> Result:
    """Return what a run says of itself; in its figures lengths are in Å, volumes in Å³."""
    device = choose_device(config.device)
    edge = config.s_max_per_angstrom
    figures = {
        "r_factors": [round(value, 5) for value in result.r_factors],
        "coarse_r_factors": [round(value, 5) for value in result.coarse_r_factors],
        "kept": result.kept,
        "twin_overlaps": [round(value, 3) for value in result.twin_overlaps],
        "twins_broken": result.twins_broken,
        "interrupted": result.interrupted,
        "diameter_angstrom": round(result.diameter_angstrom, 1),
        "support_angstrom3": round(result.support_angstrom3),
        "threshold": result.threshold,
        "thresholds_tried": [asdict(trial) for trial in result.trials],
        "voxel_angstrom": result.density.spacing,
    }
    return Result(
        method="phasing",
        method_version=__version__,
        seconds=round(result.seconds, 2),
        d_min_angstrom=None if edge is None else 1 / edge,
        resolution=result.resolution,
        warnings=result.doubts,
        seed=seed,
        device=str(device),
        hardware=machine.hardware(device),
        figures=figures,
    )


def write_result(directory: Path, result: PhasingResult, config: PhasingConfig, seed: int) -> None:
    """Write density (HDF5 and MRC), PRTF, picture, settings and result, the result last.

    A directory with ``result.json`` is complete. Raises :class:`UserError` where it cannot write.
    """
    with disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        write_volume(directory / "density.h5", result.density, {"seed": seed})
        write_volume(directory / "density.mrc", result.density)
        write_text(directory / "prtf.csv", _shells(result))
        picture = io.BytesIO()
        figure(result).savefig(picture, format="png", dpi=110)
        write_bytes(directory / "phasing.png", picture.getvalue())
        write_text(directory / "config.toml", f"# seed {seed}\n{toml.dumps(config)}")
        result_file.write_result(directory, result_of(result, config, seed))


def _shells(result: PhasingResult) -> str:
    """Return PRTF and R-factors of each shell, and the background if one was fitted, as CSV."""
    columns = {
        "s_per_angstrom": result.prtf_s,
        "prtf": result.prtf,
        "r_factor": result.shell_r_factors,
        "noise_r_factor": result.noise_r_factors,
    }
    if result.background is not None:
        columns["background"] = result.background
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(f"{value:.6g}" for value in row) for row in rows)]
    return "\n".join(lines) + "\n"
