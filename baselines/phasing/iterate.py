"""Iterated projections: error reduction, hybrid input-output, reflections, difference map.

With P_M the modulus and P_S the support projection, x the density before a step and p = P_M x:

- ``er``: x ← P_S p (Fienup 1982). Never increases the error; finds the nearest minimum.
- ``hio``: x ← p where p obeys the support constraint, x − β p elsewhere (Fienup 1982).
- ``raar``: x ← β (P_S(2p − x) + x) + (1 − 2β) p (Luke 2005, eq. 2.6 written out with reflections
  R = 2P − 1). Leaves local minima like HIO but stays near a solution it has found.
- ``dm``: x ← x + β [P_S((1 + 1/β) p − x/β) − P_M((1 − 1/β) P_S x + x/β)] (Elser 2003, eqs. 4–9
  with γ_M = 1/β, γ_S = −1/β). The second modulus projection is p itself at β = 1, where the map is
  RAAR's; below that a step takes four transforms.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from baselines.phasing.kernels import iterate as kernels
from baselines.phasing.projections import project_support
from xraisim.core.dispatch import in_loops

Project = Callable[[Float[Tensor, "B N N N"]], Float[Tensor, "B N N N"]]
#: (x, p, support, β, floor, P_M) → x after the step, which may be the same memory
Step = Callable[
    [
        Float[Tensor, "B N N N"],
        Float[Tensor, "B N N N"],
        Bool[Tensor, "B N N N"],
        float,
        float,
        Project,
    ],
    Float[Tensor, "B N N N"],
]


def _error_reduction(
    x: Tensor, p: Tensor, support: Tensor, beta: float, floor: float, project: Project
) -> Tensor:
    return project_support(p, support, floor)


def _hybrid_input_output(
    x: Tensor, p: Tensor, support: Tensor, beta: float, floor: float, project: Project
) -> Tensor:
    return p.where(support & (p > floor), x.sub(p, alpha=beta))


def _relaxed_reflections(
    x: Tensor, p: Tensor, support: Tensor, beta: float, floor: float, project: Project
) -> Tensor:
    return beta * (project_support(2 * p - x, support, floor) + x) + (1 - 2 * beta) * p


def _difference_map(
    x: Tensor, p: Tensor, support: Tensor, beta: float, floor: float, project: Project
) -> Tensor:
    other = p
    if beta != 1:
        other = project((1 - 1 / beta) * project_support(x, support, floor) + x / beta)
    inside = project_support((1 + 1 / beta) * p - x / beta, support, floor)
    return x + beta * (inside - other)


#: plain torch forms, any device
REFERENCE: Mapping[str, Step] = {
    "er": _error_reduction,
    "hio": _hybrid_input_output,
    "raar": _relaxed_reflections,
    "dm": _difference_map,
}


def _compiled_difference_map(
    x: Tensor, p: Tensor, support: Tensor, beta: float, floor: float, project: Project
) -> None:
    b, least = np.float32(beta), np.float32(floor)
    other = p
    if beta != 1:
        aim = torch.empty_like(x)
        kernels.support_estimate(*_flat(x, support), b, least, *_flat(aim))
        other = project(aim)
    kernels.difference_map(*_flat(x, p, other, support), b, least)


def step(
    name: str,
    x: Float[Tensor, "B N N N"],
    p: Float[Tensor, "B N N N"],
    support: Bool[Tensor, "B N N N"],
    beta: float,
    floor: float,
    project: Project,
) -> Float[Tensor, "B N N N"]:
    """Return x after one step of the algorithm ``name``; on the CPU x is overwritten."""
    if not in_loops(x.device):
        return REFERENCE[name](x, p, support, beta, floor, project)
    b, least = np.float32(beta), np.float32(floor)
    if name == "er":
        kernels.error_reduction(*_flat(x, p, support), least)
    elif name == "hio":
        kernels.hybrid_input_output(*_flat(x, p, support), b, least)
    elif name == "raar":
        kernels.relaxed_reflections(*_flat(x, p, support), b, least)
    else:
        _compiled_difference_map(x, p, support, beta, floor, project)
    return x


def _flat(*values: Tensor) -> list[Shaped[np.ndarray, "_"]]:
    return [value.view(-1).numpy() for value in values]
