"""Likelihoods of all in-plane angles as two matrix products, and the adjoint of that.

With a pattern's packed harmonics A_m = Σ k exp(imϕ), and those of a template C_m, stored as
(Re C, −Im C) and doubled for m > 0,

    LL(α) = Σ_m Re(X_m) cos mα + Im(X_m) sin mα,    X_m = Σ_rings A_m C_m.

X is one real product per m over the rings that have it, and LL one product over all m. Even m give
the mean of LL over a half turn apart, odd m half the difference, which halves the second product.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.emc.kernels import correlate as kernels
from baselines.emc.polar import PolarGrid
from xraisim.core.dispatch import in_loops

Halves = tuple[Float[Tensor, "J n _"], Float[Tensor, "J n _"]]


def swapped(block: Float[Tensor, "n L2"]) -> Float[Tensor, "n L2"]:
    """Return (−second half, first half) of each row, which gives Im X where a row gives Re X."""
    first, second = block.chunk(2, 1)
    return torch.cat([-second, first], 1)


def correlate(
    grid: PolarGrid,
    waves: tuple[Tensor, Tensor],
    patterns: Float[Tensor, "n W"],
    templates: Float[Tensor, "D W"],
) -> Halves:
    """Return the even and the odd half of LL [J/2, n, D]: LL(α_j) = e + o, LL(α_j + π) = e − o."""
    n, D = len(patterns), len(templates)
    product = patterns.new_empty(len(grid.orders), 2, n, D)
    for number, (start, length) in enumerate(grid.columns):
        columns = slice(start, start + 2 * length)
        row, template = patterns[:, columns], templates[:, columns]
        torch.mm(row, template.T, out=product[number, 0])
        torch.mm(row, swapped(template).T, out=product[number, 1])
    return expand_angles(waves, product)


def expand_angles(waves: tuple[Tensor, Tensor], product: Float[Tensor, "M 2 n D"]) -> Halves:
    """Return even and odd half of LL from X, whose even harmonics come first."""
    half, n, D = len(waves[0]), *product.shape[2:]
    even = waves[0].shape[1] // 2
    return (
        (waves[0] @ product[:even].view(2 * even, n * D)).view(half, n, D),
        (waves[1] @ product[even:].view(-1, n * D)).view(half, n, D),
    )


def spread(
    grid: PolarGrid,
    waves: tuple[Tensor, Tensor],
    patterns: Float[Tensor, "n W"],
    weight: Halves,
    out: Float[Tensor, "D W"],
) -> None:
    """Add the adjoint of :func:`correlate` in its templates: Σ_i weight_idα ∂LL_idα/∂C_d.

    ``weight``: of (α_j, d) and of (α_j + π, d), as their sum (even) and their difference (odd).
    """
    turned = [wave.T @ part.flatten(1) for wave, part in zip(waves, weight, strict=True)]
    n, D = weight[0].shape[1:]
    product = torch.cat(turned).view(len(grid.orders), 2, n, D)
    for number, (start, length) in enumerate(grid.columns):
        columns = slice(start, start + 2 * length)
        row = patterns[:, columns]
        out[:, columns].addmm_(product[number, 0].T, row)
        out[:, columns].addmm_(product[number, 1].T, -swapped(row))


def correlate_candidates(
    grid: PolarGrid,
    waves: tuple[Tensor, Tensor],
    patterns: Float[Tensor, "n W"],
    templates: Float[Tensor, "D W"],
    candidates: Int[Tensor, "n K"],
) -> Halves:
    """Return halves of LL [J/2, n, K] at each pattern's own candidate templates (−1: none)."""
    n, K = candidates.shape
    if in_loops(patterns.device):
        product = patterns.new_empty(len(grid.orders), 2, n, K)
        start, length = np.array(grid.columns).T
        kernels.correlate_candidates(
            patterns.numpy(), templates.numpy(), candidates.numpy(), start, length, product.numpy()
        )
        return expand_angles(waves, product)
    return expand_angles(waves, candidate_products_reference(grid, patterns, templates, candidates))


def candidate_products_reference(
    grid: PolarGrid,
    patterns: Float[Tensor, "n W"],
    templates: Float[Tensor, "D W"],
    candidates: Int[Tensor, "n K"],
) -> Float[Tensor, "M 2 n K"]:
    """Return X at each pattern's candidates: plain form of the kernel, any device."""
    at, wanted = candidates.clamp_min(0).long(), candidates >= 0
    products = []
    for start, length in grid.columns:
        row = patterns[:, start : start + 2 * length]
        template = templates[:, start : start + 2 * length][at] * wanted[..., None]
        # Re X = row · (Re C, −Im C), and Im X is that with the row turned back: ⟨r, St⟩ = −⟨Sr, t⟩.
        pair = torch.stack([row, -swapped(row)])
        products.append(torch.einsum("cnl,nkl->cnk", pair, template))
    return torch.stack(products)
