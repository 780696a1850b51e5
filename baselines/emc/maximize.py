"""Maximize: the tomograms and fluences that maximise the expected log-likelihood.

Given the posterior P_ir, the expected log-likelihood Σ P_ir (k_ip f log(φ_i w_rp) − φ_i w_rp), with
f the probability that a photon is signal (1 without background), has its maximum at

    φ_i = Σ_rp P_ir k_ip f / Σ_r P_ir Σ_p w_rp           (for given w)
    w_rp = Σ_i P_ir k_ip f / Σ_i P_ir φ_i                (for given φ; Loh & Elser 2009, eq. 11)

so that neither step can lower the likelihood.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.emc.expand import Posterior, Templates

_TINY = 1e-12


@dataclass(kw_only=True)
class Tomograms:
    """Sums over patterns: signal photons [R, P] and fluence [R] seen by each rotation."""

    photons: Float[Tensor, "R P"]
    exposure: Float[Tensor, "R"]

    @classmethod
    def empty(cls, rotations: int, pixels: int, device: torch.device | str) -> "Tomograms":
        """Return sums with nothing in them."""
        return cls(
            photons=torch.zeros(rotations, pixels, device=device),
            exposure=torch.zeros(rotations, device=device),
        )

    def add(
        self,
        probability: Float[Tensor, "n R"],
        counts: Float[Tensor, "n P"],
        fluence: Float[Tensor, "n"],
        share: Float[Tensor, "R P"] | None = None,
    ) -> None:
        """Add patterns; ``share`` is the probability that a photon is signal."""
        transposed = probability.t()
        self.exposure += transposed @ fluence
        if share is None:
            self.photons.addmm_(transposed, counts)
        else:
            self.photons += (transposed @ counts).mul_(share)


def update_fluence(
    templates: Templates,
    posterior: Posterior,
    counts: Float[Tensor, "n P"],
    share: Float[Tensor, "R P"] | None = None,
) -> Float[Tensor, "n"]:
    """Return the fluences that maximise the expected log-likelihood of the templates."""
    if share is None:
        signal = counts.sum(1)
    else:
        signal = torch.linalg.vecdot(posterior.probability @ share, counts)
    return signal / (posterior.probability @ templates.exposure).clamp_min(_TINY)
