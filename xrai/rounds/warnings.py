"""Whether a run may be trusted, from its own figures: never from the truth."""

import math

from xrai.poses.cells import AMONG
from xrai.poses.finder import PoseFinder
from xrai.rounds.schedule import RIVALS
from xrai.state.state import State

_FLAT = 1.0  # of a speckle at the limit: poses less sure than this tell nothing there
_JUNK = 0.3
_COLLAPSED = 0.5  # of the poses' spread over view directions


def warnings_of(finder: PoseFinder, state: State) -> list[str]:
    """Return in words why the result of the rounds so far may be wrong; empty if nothing is odd."""
    reasons = []
    if finder.sets == 2 and state.rounds and state.agreed < finder.s_search * 0.98:
        reach = f"only to {1 / state.agreed:.0f} Å" if state.agreed > 0 else "nowhere"
        reasons.append(
            f"the half-sets agree {reach}, less far than poses were searched to "
            f"({1 / finder.s_search:.0f} Å): too few photons or patterns, or a start that is wrong"
        )
    speckle = 1 / (state.limit * finder.stream.diameter_angstrom) if state.limit else math.inf
    error = float(state.column("error_deg")[state.lit].median()) if state.lit.any() else 0.0
    if state.limit and math.radians(error) > _FLAT * speckle:
        reasons.append(
            f"flat posteriors: the poses' standard error is {error:.1f}°, where a speckle at "
            f"{1 / state.limit:.0f} Å turns by {math.degrees(speckle):.1f}°"
        )
    spread = state.figures.get("encoder_views_over_poses", 1.0)
    if spread < _COLLAPSED:
        reasons.append(
            f"the encoder has collapsed: its choices spread over {spread:.0%} of the view "
            "directions that the poses have; do not use --encoder-only with this run"
        )
    # Of the patterns that cells are proposed for, some are missed by design.
    missed = 1 - AMONG if finder.config.mode == "amortised" else 0.0
    if state.rivals is not None and state.rivals > RIVALS + missed:
        reasons.append(
            f"a search from nothing finds likelier poses for {state.rivals:.0%} of a probe: the "
            "volume may have taken a wrong turn; try another seed, or more restarts"
        )
    junk = state.outliers
    if junk > _JUNK:
        reasons.append(
            f"{junk:.0%} of the patterns fit no pose and do not count; select single hits first "
            "(`xrai-baseline classify`)"
        )
    return reasons
