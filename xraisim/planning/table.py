"""A plan as text: rows of a summary, tables of the resolution shells, cautions, and JSON."""

import dataclasses
import math
from typing import Any

from rich.table import Table

from xraisim.planning.plan import Plan
from xraisim.planning.shells import Shell

_PATTERNS = (10**3, 10**4, 10**5, 10**6)


def summary(plan: Plan) -> list[tuple[str, str]]:
    """Return pairs of what and how much, with units."""
    edge = plan.edge_resolution_angstrom
    return [
        ("particle", f"{plan.structure}, {plan.diameter_angstrom:.0f} Å in diameter"),
        ("detector", f"{plan.distance_mm:g} mm away"),
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
        ("a pattern tells of its own", _told(plan.shells[-1])),
        *[(f"{n:,} at known orientations", _sufficiency(plan, n)) for n in _PATTERNS],
    ]


def _told(outer: Shell) -> str:
    needed = math.log(outer.orientations)
    return f"{outer.orientation_nats:.3g} nats at most; {needed:.3g} are needed"


def _sufficiency(plan: Plan, patterns: int) -> str:
    """Return how far patterns suffice, and how many times as many it takes otherwise."""
    shell = plan.last_shell_with(patterns)
    if shell is None:
        return "no shell"
    corner = ", the corner" if shell is plan.shells[-1] else ""
    factor = shell.unknown_orientations_factor
    unknown = "cannot be oriented" if math.isinf(factor) else f"if unknown {_factor(factor)}"
    return f"{shell.resolution_angstrom:.3g} Å{corner}; {unknown}"


def _factor(factor: float) -> str:
    """Return a factor as text; ``"never"`` where it is infinite."""
    if math.isinf(factor):
        return "never"
    return f"× {factor:.2f}" if factor < 10 else f"× {factor:.3g}"


def cautions(plan: Plan) -> list[str]:
    """Return what stands against the experiment, a sentence each."""
    found = []
    if plan.pixels_per_speckle < 1:
        found.append(
            f"speckles are undersampled: {plan.pixels_per_speckle:.2g} pixels per 1/(2D); move the "
            "detector away, use smaller pixels or a longer wavelength"
        )
    outer = plan.shells[-1]
    if math.isinf(outer.unknown_orientations_factor):
        finest = plan.oriented_resolution_angstrom
        found.append(
            f"no single pattern can be oriented to {outer.resolution_angstrom:.3g} Å: one tells "
            f"{outer.orientation_nats:.3g} nats of its orientation at most and needs "
            f"log({outer.orientations:,}) = {math.log(outer.orientations):.3g}; "
            + (f"{finest:.3g} Å is possible" if finest else "at best all of them together")
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
        (
            "d (Å)",
            "curved\n(1/D)",
            "blind",
            "rotations",
            "patterns,\nphotons",
            "coverage",
            "un-\nknown",
        ),
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
            _factor(shell.unknown_orientations_factor),
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
