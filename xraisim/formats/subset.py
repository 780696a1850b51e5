"""A pattern file made of some of another file's patterns, such as its single hits."""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from xraisim.core.errors import FormatError
from xraisim.files.patterns import PatternReader
from xraisim.formats.base import Target
from xraisim.formats.xrai import create_xrai, open_xrai

_BLOCK = 2048


def write_subset(source: Path, numbers: Int[np.ndarray, "n"], out: Path) -> int:
    """Write the patterns ``numbers`` of ``source``, ascending, to ``out``; return n.

    Detector, beam and background are the source's. Raises :class:`FormatError` for numbers that
    are out of order or not in the file, and if both files are the same.
    """
    if source.resolve() == out.resolve():
        raise FormatError(f"{out}: source and target are the same file; write to another name")
    with PatternReader(source) as reader:
        provenance = reader.info["provenance"]
    with open_xrai(source) as opened:
        _check(numbers, opened.patterns, source)
        experiment = opened.known.experiment
        if experiment is None:
            raise FormatError(f"{source} does not say what experiment it is of")
        target = Target(
            patterns=len(numbers),
            pixels=opened.known.pixels,
            shape=experiment.detector.shape,
            experiment=experiment,
            provenance={
                **provenance,
                "patterns": len(numbers),
                "subset_of": source.name,
                "subset_from": opened.patterns,
            },
        )
        with create_xrai(out, target) as append:
            for start in range(0, opened.patterns, _BLOCK):
                stop = min(start + _BLOCK, opened.patterns)
                mine = numbers[(numbers >= start) & (numbers < stop)] - start
                if len(mine):
                    append(opened.read(start, stop).take(mine))
    return len(numbers)


def _check(numbers: Int[np.ndarray, "n"], patterns: int, source: Path) -> None:
    if not len(numbers):
        raise FormatError(f"no pattern of {source} is asked for; select at least one")
    if (np.diff(numbers) <= 0).any() or numbers[0] < 0 or numbers[-1] >= patterns:
        raise FormatError(
            f"patterns {numbers.min()} to {numbers.max()} asked for; expected ascending numbers "
            f"from 0 to {patterns - 1}, as many as {source} holds"
        )
