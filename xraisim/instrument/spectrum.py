"""The spectrum of a pulse: photon-energy jitter, and SASE bandwidth as discrete lines.

A pixel's s = (k̂ − ẑ)/λ is proportional to the photon energy, so a line of energy E sees the
intensity at s·E/E₀ exactly; f′ and f″ are held at E₀. Thomson scattering does not depend on E and
the fluence counts photons, so a line's weight is its share of the pulse's photons.

The lines sit at fixed energies, the centres of equally likely parts of a Gaussian. The photons in
each longitudinal mode of a SASE pulse are exponentially distributed (Saldin, Schneidmiller &
Yurkov 1998), so the lines' shares are exponential numbers divided by their sum: 1/n on average.
That sum, the pulse energy, is independent of the shares, and the :class:`Beam` draws it apart.
"""

import numpy as np
from jaxtyping import Float64, Int
from scipy.special import ndtr, ndtri

from xraisim.core.random import uniforms
from xraisim.instrument.beam import Beam

_CUT = 4.0  # rms at which the jitter's Gaussian is cut, so that the intensity volume has an end


def line_offsets(lines: int) -> Float64[np.ndarray, "L"]:
    """Return the places of ``lines`` equally likely lines, mean 0 and rms 1, ascending."""
    if lines == 1:
        return np.zeros(1)
    edges = ndtri(np.arange(lines + 1) / lines)
    density = np.exp(-0.5 * edges**2)
    centres = density[:-1] - density[1:]  # the mean of a Gaussian between two edges, but a factor
    return centres / np.sqrt((centres**2).mean())


def largest_scale(beam: Beam) -> float:
    """Return the largest E/E₀ that :func:`draw_spectrum` gives."""
    line = 1 + beam.bandwidth * line_offsets(beam.spectral_lines)[-1]
    return float((1 + _CUT * beam.energy_jitter) * line)


def draw_spectrum(
    beam: Beam, seed: int, indices: Int[np.ndarray, "n"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n L"], Float64[np.ndarray, "n L"]]:
    """Return each pulse's energy, its lines' energies and their shares.

    Energies are relative to E₀; a pulse's is the plain mean of its lines'. Shares add up to 1.
    """
    energy = 1 + beam.energy_jitter * _jitter(beam, seed, indices)
    lines = energy[:, None] * (1 + beam.bandwidth * line_offsets(beam.spectral_lines))
    if beam.spectral_lines == 1:
        return energy, lines, np.ones((len(indices), 1))
    photons = -np.log(uniforms(seed, "spectrum", indices, beam.spectral_lines))
    return energy, lines, photons / photons.sum(axis=1, keepdims=True)


def _jitter(beam: Beam, seed: int, indices: Int[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Return standard normal numbers, cut at ± ``_CUT``."""
    if beam.energy_jitter == 0:
        return np.zeros(len(indices))
    tail = ndtr(-_CUT)
    return ndtri(tail + (1 - 2 * tail) * uniforms(seed, "photon energy", indices, 1)[:, 0])
