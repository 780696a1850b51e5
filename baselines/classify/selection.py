"""Selections of patterns by class, and their file: the numbers of the patterns that go on."""

from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from baselines.classify.kinds import PARTICLE
from xraisim.core.errors import FormatError, UserError, reading
from xraisim.files.atomic import whole_file
from xraisim.files.held import read_whole
from xraisim.files.patterns import PatternReader
from xraisim.files.texts import attribute, describe, plain
from xraisim.formats.subset import write_subset

AUTO = "auto"
CLASSES = "classes.h5"
CLASSES_FORMAT = "x-rai classes 1"
_FORMAT = "x-rai selection 1"
_LEAST = 0.5  # probability of the kept classes together


def select(directory: Path, keep: str, path: Path, brightest: float | None = None) -> int:
    """Write the patterns of a run that belong to some classes; return how many.

    ``keep``: class numbers such as ``1,3``, or ``auto`` for those suggested as particles. A pattern
    is kept if its probabilities of the kept classes add up to more than a half, and if its fluence
    is at most ``brightest`` times the median of those: several particles are brighter than one.
    """
    if brightest is not None and not brightest > 0:
        raise UserError(f"the brightest fluence to keep is {brightest}; expected above 0, as 1.5")
    with _opened(directory / CLASSES, CLASSES_FORMAT) as file:
        probability, fluence = read_whole(file["probability"]), read_whole(file["fluence"])
        kinds = file["statistics/kind"].asstr()[()].tolist()
        source = plain(file.attrs["patterns"])
    numbers = _kept(keep, kinds)
    chosen = np.flatnonzero(probability[:, numbers].sum(1) > _LEAST)
    if brightest is not None and len(chosen):
        chosen = chosen[fluence[chosen] <= brightest * np.median(fluence[chosen])]
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        about = {"format": _FORMAT, "of": len(probability), "patterns": source}
        describe(file, {**about, "classes": np.array(numbers)})
        file["patterns"] = chosen.astype(np.int64)
        describe(file["patterns"], {"units": "number in the pattern file, from 0"})
    return len(chosen)


def read_selection(path: Path, source: Path) -> Bool[Tensor, "N"]:
    """Return which patterns of the file ``source`` are selected.

    Raises :class:`UserError` if the selection is another file's.
    """
    with PatternReader(source) as reader:
        patterns = reader.n_patterns
    with _opened(path, _FORMAT) as file:
        numbers, of = read_whole(file["patterns"]), int(file.attrs["of"])
    if of != patterns:
        raise UserError(
            f"{path} selects from {of:,} patterns, but there are {patterns:,}; give the pattern "
            "file that was classified"
        )
    if not len(numbers):
        raise UserError(f"{path} selects no pattern at all; keep other classes")
    chosen = torch.zeros(patterns, dtype=torch.bool)
    chosen[torch.from_numpy(numbers)] = True
    return chosen


def write_selected(selection: Path, out: Path, source: Path | None = None) -> int:
    """Write the selected patterns as a pattern file of their own; return how many.

    ``source``: the file that was classified, by default where it was then.
    """
    with _opened(selection, _FORMAT) as file:
        numbers, where = read_whole(file["patterns"]), Path(plain(file.attrs["patterns"]))
    source = source or where
    read_selection(selection, source)  # refuses another file's selection, or an empty one
    return write_subset(source, numbers, out)


def _kept(keep: str, kinds: list[str]) -> list[int]:
    if keep == AUTO:
        numbers = [number for number, kind in enumerate(kinds) if kind == PARTICLE]
        if not numbers:
            raise UserError(
                f"no class is taken for a particle (found: {', '.join(kinds)}); look at "
                "averages.png and name the classes to keep, such as --keep 1,3"
            )
        return numbers
    parts = [part.strip() for part in keep.split(",")]
    if not all(part.isdigit() and int(part) < len(kinds) for part in parts):
        raise UserError(
            f"classes to keep: found {keep!r}, expected auto or numbers from 0 to "
            f"{len(kinds) - 1} with commas between them, such as 1,3"
        )
    return sorted({int(part) for part in parts})


def _opened(path: Path, expected: str) -> h5py.File:
    if not path.exists():
        raise FormatError(f"{path}: no such file; xrai-baseline classify makes it")
    with reading(path, "HDF5 file"):
        file = h5py.File(path, "r")
        found = attribute(file, "format")
        ours = bool(found == expected)
    if not ours:
        file.close()
        raise FormatError(f"{path}: found format {found!r}, expected {expected!r}")
    return file
