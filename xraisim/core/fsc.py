"""Agreement of two volumes shell by shell, and the resolution read off such a curve.

Densities are compared by Fourier shell correlation, intensities by the Pearson correlation within
each shell: a plain FSC of positive intensities is near one for any two volumes with the same radial
profile, so the two are never mixed.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from xraisim.core.errors import SamplingError
from xraisim.core.radial import shell_means, shell_numbers, shell_sums


def fsc(
    a: Complex[Tensor, "G G G"],
    b: Complex[Tensor, "H H H"],
    mask: Bool[Tensor, "G G G"] | None = None,
) -> Float[Tensor, "shells"]:
    """Return the Fourier shell correlation Re Σ a b* / √(Σ|a|² Σ|b|²) of shells 0 … G//2, float64.

    (Harauz and van Heel 1986.) Shells without voxels, or where a volume vanishes, are NaN.
    """
    _require_same(a, b)
    cross = shell_sums((a * b.conj()).real, mask)
    return cross / torch.sqrt(shell_sums(a.abs() ** 2, mask) * shell_sums(b.abs() ** 2, mask))


def intensity_correlation(
    a: Float[Tensor, "G G G"],
    b: Float[Tensor, "H H H"],
    mask: Bool[Tensor, "G G G"] | None = None,
) -> Float[Tensor, "shells"]:
    """Return the Pearson correlation of two intensities in each shell 0 … G//2, float64: ``icc``.

    The mean of each shell is removed, so a shared radial profile earns nothing. Shells where a
    volume is constant (the centre voxel among them) are NaN.
    """
    _require_same(a, b)
    a, b = _without_mean(a, mask), _without_mean(b, mask)
    cross = shell_sums(a * b, mask)
    return cross / torch.sqrt(shell_sums(a * a, mask) * shell_sums(b * b, mask))


def amplitude_correlation(
    a: Float[Tensor, "G G G"],
    b: Float[Tensor, "H H H"],
    mask: Bool[Tensor, "G G G"] | None = None,
) -> Float[Tensor, "shells"]:
    """Return :func:`intensity_correlation` of the amplitudes √I (negative intensities count as 0).

    Less ruled by a few bright speckles; always named apart from ``icc``.
    """
    return intensity_correlation(a.clamp_min(0).sqrt(), b.clamp_min(0).sqrt(), mask)


def _without_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Subtract each shell's mean; voxels beyond the last shell are left as they are."""
    mean = shell_means(values, mask)
    number = shell_numbers(values.shape[0], values.device)
    # Double precision: shell means may be a million times the deviations near the beamstop.
    return values.double() - mean[number.clamp_max(len(mean) - 1)]


def _require_same(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise SamplingError(
            f"volumes of {a.shape[0]}³ and {b.shape[0]}³ voxels cannot be compared shell by shell; "
            "resample one onto the grid of the other"
        )


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """A resolution with the rule that gave it.

    ``rule``: what was compared and the threshold, such as ``"fsc_truth_0.5"``. ``angstrom``: the
    first crossing, or None where the curve never rose above the threshold. ``reached_edge``: the
    curve never fell below the threshold; the resolution is then ``angstrom`` or better.
    """

    rule: str
    angstrom: float | None
    reached_edge: bool = False

    def __str__(self) -> str:
        return self.text()

    def text(self, *, growing: bool = False) -> str:
        """Return it in words; ``growing``: what is compared will reach farther."""
        if self.angstrom is None:
            return "not resolved"
        if not self.reached_edge:
            return f"{self.angstrom:.1f} Å"
        return f"≤ {self.angstrom:.1f} Å{' so far' if growing else ''}"


def first_crossing(
    curve: Float[Tensor, "shells"],
    s: Float[Tensor, "shells"],
    threshold: float,
    rule: str,
    s_range: tuple[float, float] = (0.0, math.inf),
) -> Resolution:
    """Return where ``curve`` first falls below ``threshold``, interpolated linearly.

    Shells outside ``s_range`` (Å⁻¹; the beamstop and the edge of what was measured) and shells
    where the curve is NaN are not looked at. A curve that rises again later does not undo its first
    crossing, and one that starts below the threshold has no resolution (``angstrom`` is None).
    """
    use = (s > 0) & (s >= s_range[0]) & (s <= s_range[1]) & torch.isfinite(curve)
    if not use.any():
        raise SamplingError(
            f"no shell between |s| = {s_range[0]:.3g} and {s_range[1]:.3g} Å⁻¹ has a value; "
            "widen the range or use a finer grid"
        )
    values, radii = curve[use].tolist(), s[use].tolist()
    below = next((i for i, value in enumerate(values) if value < threshold), None)
    if below is None:
        return Resolution(rule=rule, angstrom=1 / radii[-1], reached_edge=True)
    if below == 0:
        return Resolution(rule=rule, angstrom=None)
    high, low = values[below - 1], values[below]
    fraction = (high - threshold) / (high - low)
    crossing = radii[below - 1] + fraction * (radii[below] - radii[below - 1])
    return Resolution(rule=rule, angstrom=1 / crossing)
