"""Is everything there, in the right version, and does it fit together?"""

from collections.abc import Iterator

import numpy as np

from xraisim.checks.registry import PatternFile, check
from xraisim.files.held import read_whole
from xraisim.files.pattern_schema import (
    COUNT,
    FORMAT,
    OFFSETS,
    PIXEL,
    READ_VERSIONS,
    SCALARS,
    UNITS,
    VERSION,
)
from xraisim.files.texts import attribute, attributes

_TRUTH_NAMES = ("orientation", "quaternion", "rotation", "hit", "conformation", "truth")


@check("error", gate=True)
def version(patterns: PatternFile) -> Iterator[str]:
    """The file is a pattern file of a version that is read here."""
    found = attribute(patterns.file, "format"), attribute(patterns.file, "version")
    if found[0] != FORMAT or found[1] not in READ_VERSIONS:
        yield f"format {found[0]!r}, version {found[1]}; expected {FORMAT!r}, version {VERSION}"


@check("error", gate=True)
def complete(patterns: PatternFile) -> Iterator[str]:
    """Every dataset is there."""
    for name in UNITS:
        if name not in patterns.file:
            yield f"{name} is missing"
    if "detector" in patterns.file and "shape" not in patterns.file["detector"].attrs:
        yield "detector has no attribute shape"
    if "provenance" not in patterns.file:
        yield "provenance is missing"


@check("error", gate=True)
def sizes(patterns: PatternFile) -> Iterator[str]:
    """Arrays that belong together have the same length."""
    pixels = int(np.prod(patterns.file["detector"].attrs["shape"]))
    for name in UNITS:
        if name.startswith("detector/") and len(patterns.file[name]) != pixels:
            yield f"{name} has {len(patterns.file[name])} pixels, the detector has {pixels}"
    for name in SCALARS.values():
        if patterns.file[name].shape != ():
            yield f"{name} has shape {patterns.file[name].shape}; expected a single number"
    entries, counts = len(patterns.file[PIXEL]), len(patterns.file[COUNT])
    if entries != counts:
        yield f"{entries} pixel entries and {counts} counts"


@check("error", gate=True)
def offsets(patterns: PatternFile) -> Iterator[str]:
    """Row offsets run from 0 to the number of entries and never step back."""
    try:
        values = read_whole(patterns.file[OFFSETS])
    except OSError as error:
        yield f"the offsets cannot be read ({error})"
        return
    entries = len(patterns.file[PIXEL])
    if not len(values):
        yield "there are no offsets, not even the first, 0"
        return
    if values[0] != 0 or values[-1] != entries:
        yield f"offsets run from {values[0]} to {values[-1]}; expected 0 to {entries}"
    back = np.flatnonzero(np.diff(values) < 0)
    if len(back):
        yield f"{len(back)} offsets are below the one before, first at pattern {back[0]}"


@check("error")
def units(patterns: PatternFile) -> Iterator[str]:
    """Every dataset says its unit."""
    for name, unit in UNITS.items():
        found = attribute(patterns.file[name], "units")
        if found != unit:
            yield f"{name} has units {found!r}, expected {unit!r}"


@check("error")
def patterns_made(patterns: PatternFile) -> Iterator[str]:
    """There are as many patterns as the provenance says."""
    provenance = attributes(patterns.file["provenance"])
    wanted = provenance.get("patterns")
    if wanted is not None and wanted != patterns.n_patterns:
        yield f"{patterns.n_patterns} patterns, and the provenance says {wanted}"


@check("error")
def no_truth(patterns: PatternFile) -> Iterator[str]:
    """The file holds no truth: orientations, hits or conformations."""
    names: list[str] = []
    patterns.file.visit(names.append)
    for name in names:
        if any(word in name.lower() for word in _TRUTH_NAMES):
            yield f"{name} looks like truth; it belongs in the truth file"


@check("warning")
def no_seed(patterns: PatternFile) -> Iterator[str]:
    """The file does not say from what its orientations could be drawn again."""
    if "seed" in attributes(patterns.file["provenance"]):
        yield "the provenance holds the seed of the simulation, and with it the truth"
