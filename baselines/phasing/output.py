"""What a phasing run leaves in its directory."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from baselines.phasing.config import PhasingConfig
from baselines.phasing.run import PhasingResult
from xraisim.core import config as toml
from xraisim.files.atomic import disk_errors, partial_path
from xraisim.files.volumes import write_volume


def summary(result: PhasingResult) -> dict[str, Any]:
    """Return the figures of a run, ready for JSON; lengths in Å, volumes in Å³."""
    return {
        "resolution": asdict(result.resolution),
        "r_factors": [round(value, 5) for value in result.r_factors],
        "coarse_r_factors": [round(value, 5) for value in result.coarse_r_factors],
        "kept": result.kept,
        "diameter_angstrom": round(result.diameter_angstrom, 1),
        "support_angstrom3": round(result.support_angstrom3),
        "voxel_angstrom": result.density.spacing,
        "seconds": round(result.seconds, 2),
    }


def write_result(directory: Path, result: PhasingResult, config: PhasingConfig, seed: int) -> None:
    """Write density (HDF5 and MRC), PRTF, settings and summary, the summary last.

    A directory with ``summary.json`` is complete. Raises :class:`UserError` where it cannot write.
    """
    with disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        write_volume(directory / "density.h5", result.density, {"seed": seed})
        write_volume(directory / "density.mrc", result.density)
        rows = zip(result.prtf_s.tolist(), result.prtf.tolist(), strict=True)
        lines = ["s_per_angstrom,prtf", *(f"{s:.6g},{value:.5f}" for s, value in rows)]
        _write_text(directory / "prtf.csv", "\n".join(lines) + "\n")
        _write_text(directory / "config.toml", f"# seed {seed}\n{toml.dumps(config)}")
        figures = {"seed": seed, **summary(result)}
        _write_text(directory / "summary.json", json.dumps(figures, indent=2) + "\n")


def _write_text(path: Path, text: str) -> None:
    partial = partial_path(path)
    partial.write_text(text)
    partial.replace(path)
