"""What each pulse met: the exposures whose photons add up on the detector.

A shot is a few exposures, each one particle seen at one photon energy. Their intensities add:
λ_p = gain_p · Σ_e weight_e · V_model(e)(scale_e · R_eᵀ s_p) + strength · background_p. Interference
between particles of one shot is left out: its fringes, 1/distance wide, are finer than a pixel.
"""

from dataclasses import dataclass

import numpy as np

BLANK, SINGLE, MULTIPLE, CONTAMINANT = 0, 1, 2, 3
HIT_NAMES = ("blank", "single", "multiple", "contaminant")


@dataclass(frozen=True, kw_only=True)
class Shots:
    """A block of n shots with m exposures (compressed sparse rows over shots).

    ``offsets`` int64 [n + 1]: shot i has exposures ``offsets[i]:offsets[i + 1]``, none if blank.
    ``model`` int32 [m]: which intensity volume. ``orientation`` float32 [m, 4]: quaternions.
    ``weight`` float32 [m]: fluence relative to J₀, times what else scales the intensity.
    ``scale`` float32 [m]: by what the scattering vectors are multiplied, E/E₀ for a photon energy.
    ``fluence`` float32 [n]: the shot's relative fluence φ. ``strength`` float32 [n]: of the
    background, mean 1. ``hit`` uint8 [n]: BLANK, SINGLE, MULTIPLE or CONTAMINANT.
    """

    offsets: np.ndarray
    model: np.ndarray
    orientation: np.ndarray
    weight: np.ndarray
    scale: np.ndarray
    fluence: np.ndarray
    strength: np.ndarray
    hit: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1
