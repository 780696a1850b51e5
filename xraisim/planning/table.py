"""A plan as text: rows of a summary, tables of the resolution shells, cautions, and JSON."""

import dataclasses
import math
from typing import Any

from rich.table import Table

from xraisim.planning.plan import Plan

_PATTERNS = (10**3, 10**4, 10**5, 10**6)


def summary(plan: Plan) -> list[tuple[str, str]]:
    """Return pairs of what and how much, with units."""
    edge = plan.edge_resolution_angstrom
    return [
        ("particle", f"{plan.structure}, {plan.diameter_angstrom:.0f} Å in diameter"),
        ("fluence", f"{plan.fluence_photons_per_um2:.3g} photons/µm²"),
        ("photons per pattern", f"{plan.photons_per_pattern:,.4g}"),
        ("of these beyond 1/D", f"{plan.photons_beyond_centre:,.4g}"),
        ("background per pattern", f"{plan.background_per_pattern:,.4g} photons"),
        ("edge resolution", f"{edge:.3g} Å" if edge else "none: a direction has no usable pixel"),
        ("corner resolution", f"{plan.corner_resolution_angstrom:.3g} Å"),
        ("pixels per speckle, 1/(2D)", f"{plan.pixels_per_speckle:.3g} (1 is needed)"),
        ("hidden in the centre", f"{plan.missing_speckles:.3g} speckles of 1/D"),
        ("slices are curved beyond", f"{plan.flat_resolution_angstrom:.3g} Å, √(λD)"),
        ("orientations", f"{plan.orientations:,} at 1/D in the corner"),
        (
            "Dragonfly's grid",
            f"level {plan.dragonfly_level}, {plan.dragonfly_orientations:,} rotations",
        ),
        ("views about one axis", f"{plan.crowther_views:,}"),
        ("photons to tell an orientation", f"{plan.orientation_photons:.3g} or more beyond 1/D"),
        *[(f"{n:,} patterns suffice to", _resolution(plan, n)) for n in _PATTERNS],
    ]


def _resolution(plan: Plan, patterns: int) -> str:
    found = plan.resolution_with(patterns)
    if found is None:
        return "no shell"
    beyond = found == plan.shells[-1].resolution_angstrom
    return f"{found:.3g} Å" + (", the corner" if beyond else "")


def cautions(plan: Plan) -> list[str]:
    """Return what stands against the experiment, a sentence each."""
    found = []
    if plan.pixels_per_speckle < 1:
        found.append(
            f"speckles are undersampled: {plan.pixels_per_speckle:.2g} pixels per 1/(2D); move the "
            "detector away, use smaller pixels or a longer wavelength"
        )
    if plan.photons_beyond_centre < plan.orientation_photons:
        found.append(
            f"{plan.photons_beyond_centre:.3g} photons beyond 1/D cannot tell one of "
            f"{plan.orientations:,} orientations; no single pattern can be oriented, at best all "
            "of them together"
        )
    if plan.missing_speckles > 1:
        found.append(
            f"the innermost {plan.missing_speckles:.2g} speckles are hidden: size and mean density "
            "have to come from elsewhere"
        )
    if plan.edge_resolution_angstrom is None:
        found.append("a direction around the beam has no usable pixel at all")
    return found


def shell_tables(plan: Plan) -> tuple[Table, Table]:
    """Return the shells' photons, and their geometry with the patterns needed."""
    photons = _table(
        f"Photons of {plan.structure} on {plan.instrument}",
        (
            "d (Å)",
            "pixels",
            "coverage",
            "per\npixel",
            "back-\nground",
            "per\npattern",
            "per\nvoxel",
        ),
    )
    needs = _table(
        "Orientations and patterns needed",
        ("d (Å)", "curvature\n(1/D)", "blind", "rotations", "patterns,\nphotons", "coverage"),
    )
    for shell in plan.shells:
        inner = f"{1 / shell.s_min_per_angstrom:.3g}" if shell.s_min_per_angstrom > 0 else "∞"
        name = f"{inner} – {shell.resolution_angstrom:.3g}"
        photons.add_row(
            name,
            f"{shell.pixels:,}",
            f"{100 * shell.coverage:.0f} %",
            f"{shell.photons_per_pixel:.3g}",
            f"{shell.background_per_pixel:.3g}",
            f"{shell.photons_per_pattern:.3g}",
            f"{shell.photons_per_voxel:.3g}",
        )
        needs.add_row(
            name,
            f"{shell.curvature_voxels:.2g}",
            f"{100 * shell.blind_fraction:.2g} %",
            f"{shell.orientations:,}",
            _count(shell.patterns_for_photons),
            _count(shell.patterns_for_coverage),
        )
    return photons, needs


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _count(patterns: float) -> str:
    """Return a number of patterns, rounded up; ``"∞"`` where none suffices."""
    return "∞" if math.isinf(patterns) else f"{math.ceil(patterns):,}"


def mapping(plan: Plan) -> dict[str, Any]:
    """Return the plan as nested dictionaries that are valid JSON: None where nothing suffices."""
    values = dataclasses.asdict(plan)
    for shell, row in zip(plan.shells, values["shells"], strict=True):
        row["resolution_angstrom"] = shell.resolution_angstrom
        row |= {key: None for key, value in row.items() if value == math.inf}
    return values
