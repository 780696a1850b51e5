"""Expand: the posterior of every pattern over a rotation grid, as matrix products.

With templates w_rp = gain_p·V(R_rᵀ s_p), fluence φ_i and background b_p, the Poisson log-likelihood
without its constant Σ log k! is (Loh & Elser 2009, eq. 5)

    LL_ir = Σ_p k_ip log(φ_i w_rp + b_p) − φ_i Σ_p w_rp − Σ_p b_p.

Without background this is one product, K·(log W)ᵀ, and a rank-one term. With background the
logarithm does not separate, and templates are made at the mean fluence φ of the patterns at hand,
which callers choose of similar fluence; the first-order term in log φ_i/φ is kept at its mean over
the rotations, so that only its variation from rotation to rotation is neglected.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.emc.posterior_kernels import normalise_rows
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Pixels, Volume

_TINY = 1e-12
_SPARSE = 0.03  # share of kept entries below which a sparse product is faster


@dataclass(frozen=True, kw_only=True)
class Templates:
    """Photons expected of every rotation and pixel at relative fluence 1.

    ``rate``: w [R, P], or log w where there is no background, which needs nothing else;
    ``exposure``: Σ_p w [R]; ``background``: b [P], or None where there is none.
    """

    rate: Float[Tensor, "R P"]
    exposure: Float[Tensor, "R"]
    background: Float[Tensor, "P"] | None

    @classmethod
    def of(cls, rate: Float[Tensor, "R P"], background: Float[Tensor, "P"]) -> "Templates":
        """Return the templates of expected photons; ``rate`` may be overwritten."""
        exposure = rate.sum(1)
        if bool((background > 0).any()):
            return cls(rate=rate, exposure=exposure, background=background)
        return cls(rate=rate.clamp_min_(_TINY).log_(), exposure=exposure, background=None)

    def signal_share(self, fluence: float) -> Float[Tensor, "R P"] | None:
        """Return φw/(φw + b), the probability that a photon is signal; None if it always is."""
        if self.background is None:
            return None
        lit = fluence * self.rate
        return lit.div_((lit + self.background).clamp_min_(_TINY))


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Probabilities of n patterns over R rotations, and what they say of each pattern.

    ``probability``: [n, R], rows summing to 1; sparse (COO) where few entries are left. ``best``:
    likeliest rotation; ``occupancy``: its probability; ``likelihood``: log-likelihood at it;
    ``evidence``: (1/β) log mean_r exp(β LL_ir), the objective that EM at fixed β ascends;
    ``information``: Σ_r P log(P R), mutual information in nats. All but the first are float64.
    """

    probability: Float[Tensor, "n R"]
    best: Int[Tensor, "n"]
    occupancy: Float[Tensor, "n"]
    likelihood: Float[Tensor, "n"]
    evidence: Float[Tensor, "n"]
    information: Float[Tensor, "n"]


def expand(volume: Volume, pixels: Pixels, rotation: Float[Tensor, "R 3 3"]) -> Templates:
    """Cut the templates of every rotation out of an intensity volume (electrons²)."""
    rate = slice_volume(volume.values, rotation, pixels.s, volume.spacing)
    return Templates.of(rate.mul_(pixels.gain), pixels.background)


def log_likelihood(
    templates: Templates, counts: Float[Tensor, "n P"], fluence: Float[Tensor, "n"]
) -> Float[Tensor, "n R"]:
    """Return LL [n, R] in nats, exact without background or at equal fluences."""
    if templates.background is None:
        value = counts @ templates.rate.T
        offset = torch.xlogy(counts.sum(1), fluence)
    else:
        mean = float(fluence.mean().clamp_min(_TINY))
        total = (mean * templates.rate).add_(templates.background).clamp_min_(_TINY)
        share = 1 - (templates.background / total).mean(0)
        value = counts @ total.log_().T
        ratio = (fluence / mean).clamp_min(_TINY)
        offset = (counts @ share) * ratio.log() - templates.background.sum()
    value.addr_(fluence, templates.exposure, alpha=-1)
    return value.add_(offset[:, None])


def posterior(loglik: Float[Tensor, "n R"], beta: float, threshold: float) -> Posterior:
    """Return the posterior exp(β LL) over a uniform prior; ``loglik`` is overwritten.

    Entries below ``threshold`` times the pattern's best are dropped.
    """
    lowest = math.log(threshold)
    if loglik.device.type == "cpu":
        columns = normalise_rows(loglik.numpy(), np.float32(beta), np.float32(lowest))
        best, found = (torch.from_numpy(column) for column in columns)
    else:
        best, found = normalise_rows_reference(loglik, beta, lowest)
    peak, mass, moment, kept = found.unbind(1)
    sparse = float(kept.sum()) < _SPARSE * loglik.numel()
    rotations = loglik.shape[1]
    return Posterior(
        probability=loglik.to_sparse() if sparse else loglik,
        best=best,
        occupancy=1 / mass,
        likelihood=peak,
        evidence=peak + (mass / rotations).log() / beta,
        information=moment / mass - mass.log() + math.log(rotations),
    )


def normalise_rows_reference(
    loglik: Float[Tensor, "n R"], beta: float, lowest: float
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n 4"]]:
    """Plain torch form of the kernel, any device; ``loglik`` is overwritten all the same."""
    peak, best = loglik.max(1)
    exponent = beta * (loglik - peak[:, None])
    kept = exponent >= lowest
    # Exponentials of anything much lower are denormal numbers, which are slow, and are dropped.
    weight = exponent.clamp_min_(lowest).exp().mul_(kept)
    mass = weight.sum(1)
    moment = (weight * exponent).sum(1)
    loglik.copy_(weight.div_(mass[:, None]))
    return best, torch.stack([peak, mass, moment, kept.sum(1).to(peak)], 1).double()
