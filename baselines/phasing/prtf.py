"""Phase retrieval transfer function: how far independent starts agree on the phases."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from xraisim.core.errors import ConfigError
from xraisim.core.radial import shell_means


def prtf(starts: list[Complex[Tensor, "G G G"]]) -> Float[Tensor, "shells"]:
    """Return the PRTF in the shells 0 … G//2 (float64) of two or more aligned starts.

    The PRTF is |⟨exp(iφ)⟩| over starts (Chapman et al. 2006). Of n random phases that mean is still
    1/√n, above the usual limit 1/e for n < 8, so it is freed of this: with m² its mean square in
    a shell, √((n m² − 1)/(n − 1)), zero where phases are random and one where all agree.
    """
    count = len(starts)
    if count < 2:
        raise ConfigError("a PRTF compares phases of two or more starts, found one; use starts = 4")
    total = torch.zeros_like(starts[0])
    for factors in starts:
        total += factors / factors.abs().clamp_min(1e-20)
    power = shell_means((total / count).abs() ** 2)
    return ((count * power - 1) / (count - 1)).clamp_min(0).sqrt()
