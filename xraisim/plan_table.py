"""A plan as text: rows of a summary, and a table of the resolution shells."""

import math

from rich.table import Table

from xraisim.plan import Plan

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
        ("photons to tell an orientation", f"{plan.orientation_photons:.3g} or more, beyond 1/D"),
        *[(f"{n:,} patterns suffice to", _resolution(plan, n)) for n in _PATTERNS],
    ]


def _resolution(plan: Plan, patterns: int) -> str:
    found = plan.resolution_with(patterns)
    if found is None:
        return "no shell"
    beyond = found == plan.shells[-1].resolution_angstrom
    return f"{found:.3g} Å" + (", the corner" if beyond else "")


def shell_table(plan: Plan) -> Table:
    """Return one row per shell."""
    table = Table(title=f"Shells of {plan.structure} on {plan.instrument}")
    for name in (
        "d (Å)",
        "coverage",
        "photons\nper pixel",
        "photons\nper pattern",
        "per voxel",
        "background\nper voxel",
        "curvature\n(1/D)",
        "blind",
        "orientations",
        "patterns,\nphotons",
        "patterns,\ncoverage",
    ):
        table.add_column(name, justify="right")
    for shell in plan.shells:
        table.add_row(
            f"{_inner(shell.s_min_per_angstrom)} – {shell.resolution_angstrom:.3g}",
            f"{100 * shell.coverage:.0f} %",
            f"{shell.photons_per_pixel:.3g}",
            f"{shell.photons_per_pattern:.3g}",
            f"{shell.photons_per_voxel:.3g}",
            f"{shell.background_per_voxel:.3g}",
            f"{shell.curvature_voxels:.2g}",
            f"{100 * shell.blind_fraction:.2g} %",
            f"{shell.orientations:,}",
            count(shell.patterns_for_photons),
            count(shell.patterns_for_coverage),
        )
    return table


def _inner(s: float) -> str:
    return f"{1 / s:.3g}" if s > 0 else "∞"


def count(patterns: float) -> str:
    """Return a number of patterns, rounded up; ``"∞"`` where none suffices."""
    return "∞" if math.isinf(patterns) else f"{math.ceil(patterns):,}"
