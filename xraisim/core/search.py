"""Exhaustive pose search: likelihoods of every pattern at every grid rotation, as one product.

The multinomial log-likelihood Σ_p k_p log(w_p/Σw) of all patterns and rotations is the matrix
product counts × log-templatesᵀ, bound by arithmetic rather than memory.
"""

from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Pixels, Volume

_TINY = 1e-12


def log_templates(
    volume: Volume, pixels: Pixels, grid: Float[Tensor, "R 4"]
) -> Float[Tensor, "P R"]:
    """Return log of each pixel's share of the photons, for every rotation of ``grid``.

    Known background is added at the mean fluence, φ = 1: an approximation that only proposes poses;
    the exact likelihood re-ranks them.
    """
    w = slice_volume(volume.values, rotations.to_matrix(grid), pixels.s, volume.spacing)
    rate = w.mul_(pixels.gain).add_(pixels.background).clamp_min_(_TINY)
    return rate.div_(rate.sum(1, keepdim=True)).log_().T


def grid_loglik(
    counts: Float[Tensor, "n P"], templates: Float[Tensor, "P R"]
) -> Float[Tensor, "n R"]:
    """Return the multinomial log-likelihood of every pattern at every rotation."""
    return counts @ templates
