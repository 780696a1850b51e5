"""Two half-sets: how far independent halves of the patterns agree, without any truth."""

from baselines.emc.iterate import Estimate
from xraisim.core.fsc import first_crossing, intensity_correlation, shell_s

RULE = "icc_half_0.143"


def half_resolution(estimates: list[Estimate], s_max: float) -> float | None:
    """Return where the first class of two halves stops to correlate (Å); None for one estimate.

    Pearson's correlation per shell, its mean removed, below 0.143: half the data then correlate
    with the truth by 0.5, were they free of a common error.
    """
    if len(estimates) != 2:
        return None
    first, second = (one.models[0].volume for one in estimates)
    curve = intensity_correlation(first.values.cpu(), second.values.cpu())
    s = shell_s(first.grid, first.spacing)
    return first_crossing(curve, s, 0.143, RULE, (0.0, s_max)).angstrom
