"""The truth file beside a simulated pattern file: what only the scoring may open."""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from xraisim.atomic import require_space, whole_file
from xraisim.core.errors import FormatError

FORMAT, VERSION = "x-rai truth", 1


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What each pattern was made of.

    ``orientations`` float32 [N, 4], quaternions (w, x, y, z); ``fluence`` float32 [N], relative;
    ``hits`` uint8 [N], 1 where a particle was hit; ``seed``; ``structure``: the structure's name;
    ``structure_sha256``: of its file; ``chains``, ``assembly``: what was read of it; ``config``:
    the whole configuration as TOML.
    """

    orientations: np.ndarray
    fluence: np.ndarray
    hits: np.ndarray
    seed: int
    structure: str
    structure_sha256: str
    chains: str
    assembly: str
    config: str


def truth_path(patterns: Path | str) -> Path:
    """Return ``<stem>.truth.h5`` beside a pattern file."""
    path = Path(patterns)
    return path.with_name(f"{path.stem}.truth.h5")


def write_truth(path: Path | str, truth: Truth) -> None:
    """Write a truth file, whole or not at all."""
    path = Path(path)
    with whole_file(path) as partial:
        require_space(path, 64 * len(truth.fluence))
        _write(partial, truth)


def _write(path: Path, truth: Truth) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        _dataset(file, "orientations", truth.orientations, "quaternion w, x, y, z")
        _dataset(file, "fluence", truth.fluence, "relative to the mean")
        _dataset(file, "hits", truth.hits, "1 where a particle was hit")
        for name in ("seed", "structure", "structure_sha256", "chains", "assembly"):
            file.attrs[name] = getattr(truth, name)
        file.attrs["config"] = json.dumps(truth.config)


def _dataset(file: h5py.File, name: str, values: np.ndarray, units: str) -> None:
    file.create_dataset(name, data=values).attrs["units"] = units


def read_truth(path: Path | str) -> Truth:
    """Read a truth file; raises :class:`FormatError` if it is not one."""
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            found = file.attrs.get("format"), file.attrs.get("version")
            if found != (FORMAT, VERSION):
                raise FormatError(f"{path}: found {found}, expected {FORMAT!r}, version {VERSION}")
            return Truth(
                orientations=file["orientations"][()],
                fluence=file["fluence"][()],
                hits=file["hits"][()],
                seed=int(file.attrs["seed"]),
                structure=str(file.attrs["structure"]),
                structure_sha256=str(file.attrs["structure_sha256"]),
                chains=str(file.attrs["chains"]),
                assembly=str(file.attrs["assembly"]),
                config=json.loads(file.attrs["config"]),
            )
    except (OSError, KeyError) as error:
        raise FormatError(f"{path}: not a whole truth file ({error})") from error
