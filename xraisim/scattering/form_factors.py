"""What one atom scatters, in electrons: IT92 form factors, anomalous terms, B factors."""

import gemmi
import numpy as np
from jaxtyping import Complex128, Float, Float64, Integer

from xraisim.core.errors import StructureError

HEAVIEST_ELEMENT = 98  # of IT92
_HEAVIEST_WITH_ANOMALOUS = 92  # gemmi's f′ and f″ are 0 beyond
IT92_LIMIT_PER_ANGSTROM = 4.0  # sinθ/λ = 2 Å⁻¹, the end of the tables' validity


def profile(
    element: int, b_iso: float, s: Float[np.ndarray, "*shape"], photon_energy_ev: float | None
) -> Complex128[np.ndarray, "*shape"]:
    """Return (f₀(s) + f′ + i f″) exp(−B s²/4) in electrons.

    ``element`` is the atomic number, which gemmi's number of deuterium is not. ``s`` in Å⁻¹,
    ``b_iso`` in Å². f₀ from the International Tables (1992, C, table 6.1.1.4), f′ and f″ by Cromer
    & Liberman (1981) at ``photon_energy_ev``; None leaves them out. Raises :class:`StructureError`
    for an element without a form factor.
    """
    if not 1 <= element <= HEAVIEST_ELEMENT:
        raise StructureError(
            f"no IT92 form factor for atomic number {element}; expected 1 to {HEAVIEST_ELEMENT}"
        )
    coefficients = gemmi.Element(int(element)).it92
    stol2 = np.asarray(s, dtype=np.float64) ** 2 / 4
    value = np.full(stol2.shape, coefficients.c, dtype=np.complex128)
    for a, b in zip(coefficients.a, coefficients.b, strict=True):
        value += a * np.exp(-b * stol2)
    if photon_energy_ev is not None:
        if element > _HEAVIEST_WITH_ANOMALOUS:
            raise StructureError(
                f"no f′ and f″ for {gemmi.Element(int(element)).name}, atomic number {element}; "
                "leave them out with anomalous = false"
            )
        value += complex(*gemmi.cromer_liberman(int(element), photon_energy_ev))
    return value * np.exp(-b_iso * stol2)


class RadialBasis:
    """A few radial functions whose combinations are every atom's profile f_j(s) exp(−B_j s²/4).

    The profiles of all elements over the range of B factors are nearly dependent: a singular value
    decomposition leaves a handful of functions, so that F(s) on a grid costs that many Fourier
    transforms instead of one per element and B factor. The functions are complex, the strengths of
    the atoms real: a transform of real strengths need only be made for half of the s.
    """

    _POINTS = 256
    _B_SAMPLES = 12
    _TOLERANCE = 3e-5

    def __init__(
        self,
        elements: Integer[np.ndarray, "N"],
        b_iso: Float[np.ndarray, "N"],
        s_max: float,
        energy_ev: float | None,
    ) -> None:
        """Make the functions for atoms of ``elements`` and ``b_iso`` up to ``s_max`` (Å⁻¹)."""
        self.s_max, self._energy = s_max, energy_ev
        self.s = s_max * np.sqrt(np.linspace(0, 1, self._POINTS))
        b_values = np.unique(np.linspace(b_iso.min(), b_iso.max(), self._B_SAMPLES))
        table = np.array(
            [
                profile(int(z), float(b), self.s, energy_ev)
                for z in np.unique(elements)
                for b in b_values
            ]
        )
        table /= np.abs(table).max(1, keepdims=True)
        _, weight, basis = np.linalg.svd(np.hstack([table.real, table.imag]), full_matrices=False)
        rank = int((weight > self._TOLERANCE * weight[0]).sum())
        #: functions of s² at equal steps up to ``s_max``², complex [rank, points], orthonormal in
        #: the real part of their products
        self.functions = basis[:rank, : self._POINTS] + 1j * basis[:rank, self._POINTS :]

    def strengths(
        self, elements: Integer[np.ndarray, "N"], b_iso: Float[np.ndarray, "N"]
    ) -> Float64[np.ndarray, "rank N"]:
        """Return each profile, of ``elements`` and ``b_iso``, in the functions."""
        out = np.empty((len(self.functions), len(elements)))
        for z in np.unique(elements):
            chosen = np.flatnonzero(elements == z)
            atomic = profile(int(z), 0.0, self.s, self._energy)
            for block in np.array_split(chosen, len(chosen) // 4096 + 1):
                decay = np.exp(-np.outer(b_iso[block], self.s**2 / 4))
                out[:, block] = (self.functions.conj() @ (decay * atomic).T).real
        return out
