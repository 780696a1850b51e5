"""Iterated projections: error reduction, hybrid input-output, relaxed averaged reflections.

With P_M the modulus and P_S the support projection, x the density before a step and p = P_M x:

- ``er``: x ← P_S p (Fienup 1982). Never increases the error; finds the nearest minimum.
- ``hio``: x ← p where p obeys the support constraint, x − β p elsewhere (Fienup 1982).
- ``raar``: x ← β (P_S(2p − x) + x) + (1 − 2β) p (Luke 2005, eq. 2.6 written out with reflections
  R = 2P − 1). Leaves local minima like HIO but stays near a solution it has found.
"""

import re
from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor

from baselines.phasing.projections import project_support
from xraisim.core.errors import ConfigError

Step = Callable[
    [Float[Tensor, "G G G"], Float[Tensor, "G G G"], Bool[Tensor, "G G G"], float],
    Float[Tensor, "G G G"],
]


def error_reduction(before: Tensor, projected: Tensor, support: Tensor, beta: float) -> Tensor:
    """Return P_S p."""
    return project_support(projected, support)


def hybrid_input_output(before: Tensor, projected: Tensor, support: Tensor, beta: float) -> Tensor:
    """Return p where it is positive inside the support, x − β p elsewhere."""
    allowed = support & (projected > 0)
    return projected.where(allowed, before.sub(projected, alpha=beta))


def relaxed_reflections(before: Tensor, projected: Tensor, support: Tensor, beta: float) -> Tensor:
    """Return β (P_S(2p − x) + x) + (1 − 2β) p."""
    reflected = projected.mul(2).sub_(before)
    step = project_support(reflected, support).add_(before).mul_(beta)
    return step.add_(projected, alpha=1 - 2 * beta)


STEPS: dict[str, Step] = {
    "er": error_reduction,
    "hio": hybrid_input_output,
    "raar": relaxed_reflections,
}


def parse(schedule: str) -> list[str]:
    """Return one step name per iteration for text such as ``"3 raar, 1 er"``.

    ``"2 x (45 raar, 15 er), 40 er"`` repeats what is in parentheses. Raises :class:`ConfigError`.
    """
    text = schedule.replace(" ", "")
    expanded = re.sub(
        r"(\d+)x\(([^()]*)\)", lambda m: ",".join([m.group(2)] * int(m.group(1))), text
    )
    names: list[str] = []
    for part in expanded.split(","):
        found = re.fullmatch(r"(\d+)([a-z]+)", part)
        if not found or found.group(2) not in STEPS:
            raise ConfigError(
                f"phasing schedule {schedule!r} has the part {part!r}; expected a number and one "
                f"of {', '.join(STEPS)}, such as '2 x (45 raar, 15 er), 40 er'"
            )
        names += [found.group(2)] * int(found.group(1))
    if not names:
        raise ConfigError(f"phasing schedule {schedule!r} has no iterations")
    return names
