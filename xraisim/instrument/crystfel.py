"""CrystFEL ``.geom`` files: the panels of a measured detector geometry, in space and in the data.

The axes are ours: z downstream, y up, x to the left when looking downstream. Corners are in pixels,
``res`` in pixels per metre, ``clen`` and ``coffset`` in metres (White et al., J. Appl. Cryst. 45,
335, 2012, and CrystFEL's manual). ``min_fs`` … ``max_ss`` and ``dimN`` say where in the frames of
the data a panel's pixels are, and so in which order the detector's pixels come.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from xraisim.core.errors import ConfigError, reads
from xraisim.instrument.crystfel_text import GeometryText, Section, read_text
from xraisim.instrument.panels import Frame, Layout, Panel
from xraisim.instrument.ranges import require


@reads("CrystFEL geometry", error=ConfigError)
def read_geometry(path: Path | str, distance_mm: float) -> Layout:
    """Return the panels, their places in the data, and the bad pixels of a ``.geom`` file.

    ``distance_mm`` replaces a camera length that the file leaves to each event's metadata (``clen``
    is a path). Bad are bad regions, panels with ``no_index`` and ``mask_edge_pixels``; what is left
    out, such as masks in data files, is named in the layout's notices. Raises :class:`ConfigError`
    that says what is wrong and where.
    """
    path = Path(path)
    text = read_text(path)
    notices = _notices(path, text)
    names = [section.name for section in text.panels]
    for region in text.bad:
        if region.values.get("panel", names[0]) not in names:
            region.fail("panel", f"the name of a panel, such as {names[0]}")
    clens = [_clen_mm(section, distance_mm, notices) for section in text.panels]
    panels = tuple(
        _panel(section, clen + 1e3 * section.number("coffset", 0.0), clens[0])
        for section, clen in zip(text.panels, clens, strict=True)
    )
    bad = [
        _bad_pixels(section, panel, text.bad)
        for section, panel in zip(text.panels, panels, strict=True)
    ]
    return Layout(
        panels=panels,
        distance_mm=clens[0],
        bad=np.concatenate(bad),
        frame=_frame(path, text.panels, panels),
        notices=tuple(notices),
    )


def _notices(path: Path, text: GeometryText) -> list[str]:
    if not text.left_out:
        return []
    named = ", ".join(f"{key} = {value}" for key, value in text.left_out.items())
    return [
        f"{path}: not used: {named} (values are photons; the photon energy is [beam] "
        "photon_energy_ev; a mask goes into [detector] mask_file, and saturation into "
        "saturation_photons)"
    ]


def _clen_mm(section: Section, distance_mm: float, notices: list[str]) -> float:
    if "clen" not in section.values:
        raise ConfigError(
            f"{section.path}: panel {section.name} has no camera length; add 'clen = 0.2' "
            "(metres), or 'clen = /path' to use detector.distance_mm"
        )
    clen = section.metres("clen")
    if isinstance(clen, str):
        notice = f"{section.path}: clen is {clen} in each data file; detector.distance_mm is used"
        notices.extend([notice] if notice not in notices else [])
        return distance_mm
    return require(
        "distance_mm",
        1e3 * clen,
        where=f"{section.path}: clen of panel {section.name}",
        advice="write the length with its unit, as 'clen = 200 mm'",
        unit="m",
    )


def _panel(section: Section, z_mm: float, origin_mm: float) -> Panel:
    path, name = section.path, section.name
    if not z_mm > 0:
        raise ConfigError(
            f"{path}: panel {name} is {z_mm:g} mm downstream of the particle; clen (or "
            "detector.distance_mm in its place) plus coffset must be positive"
        )
    limits = {key: section.whole(key) for key in ("min_fs", "max_fs", "min_ss", "max_ss")}
    if not section.number("res") > 0:
        section.fail("res", "pixels per metre, a positive number")
    pixel = require(
        "pixel_size_mm",
        1e3 / section.number("res"),
        where=f"{path}: panel {name}, res = {section.number('res'):g}",
        advice="res is in pixels per metre: 5000 for pixels of 0.2 mm",
    )
    corner = (
        section.number("corner_x") * pixel, section.number("corner_y") * pixel, z_mm - origin_mm
    )  # fmt: skip
    try:
        return Panel(
            name=name,
            rows=limits["max_ss"] - limits["min_ss"] + 1,
            columns=limits["max_fs"] - limits["min_fs"] + 1,
            corner_mm=corner,
            fs_mm=tuple(value * pixel for value in section.direction("fs")),
            ss_mm=tuple(value * pixel for value in section.direction("ss")),
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _bad_pixels(
    section: Section, panel: Panel, regions: Sequence[Section]
) -> Bool[np.ndarray, "P"]:
    """Return the panel's bad pixels: limits are inclusive.

    Regions in fs and ss count pixels as the data file does; regions in x and y are in pixel widths
    from the beam and hold pixels whose centre lies within.
    """
    row, column = np.indices((panel.rows, panel.columns))
    if section.flag("no_index"):
        return np.ones(len(panel), bool)
    edge = section.whole("mask_edge_pixels", 0)
    bad = np.minimum(row, panel.rows - 1 - row) < edge
    bad |= np.minimum(column, panel.columns - 1 - column) < edge
    for region in regions:
        if region.values.get("panel", section.name) != section.name:
            continue
        if {"min_x", "max_x", "min_y", "max_y"} & set(region.values):
            (x, y), (fs, ss) = (
                [section.number(f"corner_{axis}") for axis in "xy"],
                [section.direction(key) for key in ("fs", "ss")],
            )
            a = x + (column + 0.5) * fs[0] + (row + 0.5) * ss[0]
            b = y + (column + 0.5) * fs[1] + (row + 0.5) * ss[1]
            keys = ("min_x", "max_x", "min_y", "max_y")
        else:
            a, b = column + section.whole("min_fs"), row + section.whole("min_ss")
            keys = ("min_fs", "max_fs", "min_ss", "max_ss")
        limits = [region.number(key) for key in keys]
        bad |= (limits[0] <= a) & (a <= limits[1]) & (limits[2] <= b) & (b <= limits[3])
    return bad.reshape(-1)


def _frame(path: Path, sections: Sequence[Section], panels: Sequence[Panel]) -> Frame | None:
    """Return where the panels are in the frames; None if they follow on one another."""
    places = sorted({section.values.get("data", "") for section in sections})
    origins, forms = [], set()
    for section in sections:
        axes = _axes(section)
        starts = {"ss": section.whole("min_ss"), "fs": section.whole("min_fs")}
        origin = [starts[axis] if axis in starts else int(axis) for axis in axes]
        forms.add((len(axes), axes.index("ss"), axes.index("fs")))
        # several data sets are taken for panels one after another, in the order of their names
        origins.append((places.index(section.values.get("data", "")), *origin))
    if len(forms) > 1:
        raise ConfigError(
            f"{path}: the panels' dimN name ss and fs at different axes; one array holds all frames"
        )
    _, slow, fast = forms.pop()
    frame = Frame(origins=tuple(origins), slow=slow + 1, fast=fast + 1)
    try:
        follows = frame.follows(panels)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return None if follows else frame


def _axes(section: Section) -> list[str]:
    """Return what each axis of a frame is: ``ss``, ``fs``, or the number at which the panel is."""
    named = {int(key[3:]): value for key, value in section.values.items() if key[3:].isdigit()}
    axes = [named[number] for number in sorted(named)] or ["ss", "fs"]
    if axes[0] == "%":
        axes = axes[1:]
    numbers = [axis for axis in axes if axis not in ("ss", "fs")]
    if sorted(named) != list(range(len(named))) or {*axes} - {*numbers} != {"ss", "fs"}:
        section.fail(f"dim{len(named)}", "dim0 and on, with ss and fs once each")
    if len(axes) != len(numbers) + 2 or not all(number.isdigit() for number in numbers):
        section.fail(
            f"dim{axes.index(numbers[0])}",
            "the frames' axis (%) first, then numbers, ss and fs; turn the array if it is not so",
        )
    return axes
