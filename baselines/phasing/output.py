"""What a phasing run leaves in its directory."""

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from baselines.phasing.config import PhasingConfig
from baselines.phasing.figure import figure
from baselines.phasing.run import PhasingResult
from xraisim.core import config as toml
from xraisim.core.json_text import to_json
from xraisim.files.atomic import disk_errors, write_bytes, write_text
from xraisim.files.volumes import write_volume


def summary(result: PhasingResult) -> dict[str, Any]:
    """Return the figures of a run, ready for JSON; lengths in Å, volumes in Å³."""
    return {
        "resolution": asdict(result.resolution),
        "r_factors": [round(value, 5) for value in result.r_factors],
        "coarse_r_factors": [round(value, 5) for value in result.coarse_r_factors],
        "doubts": list(result.doubts),
        "kept": result.kept,
        "twin_overlaps": [round(value, 3) for value in result.twin_overlaps],
        "twins_broken": result.twins_broken,
        "interrupted": result.interrupted,
        "diameter_angstrom": round(result.diameter_angstrom, 1),
        "support_angstrom3": round(result.support_angstrom3),
        "threshold": result.threshold,
        "thresholds_tried": [asdict(trial) for trial in result.trials],
        "voxel_angstrom": result.density.spacing,
        "seconds": round(result.seconds, 2),
    }


def write_result(directory: Path, result: PhasingResult, config: PhasingConfig, seed: int) -> None:
    """Write density (HDF5 and MRC), PRTF, picture, settings and summary, the summary last.

    A directory with ``summary.json`` is complete. Raises :class:`UserError` where it cannot write.
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
        figures = {"seed": seed, **summary(result)}
        write_text(directory / "summary.json", to_json(figures, indent=2) + "\n")


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
