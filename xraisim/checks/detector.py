"""Does the detector agree with the beam, and with itself?"""

import math
from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from xraisim.checks.registry import PatternFile, check
from xraisim.core.units import CLASSICAL_ELECTRON_RADIUS_UM, wavelength_angstrom
from xraisim.files.pattern_schema import SCALARS
from xraisim.instrument.detector import scattering_vectors

_TREE_PIXELS = 4000  # from which the pitch is taken
_AREA_RANGE = (0.2, 5.0)  # of a pixel's area over its pitch squared: panels tilt, pixels are oblong


@check("error")
def beam(patterns: PatternFile) -> Iterator[str]:
    """Photon energy, wavelength, fluence and particle diameter are positive and agree."""
    values = {name: patterns.scalar(name) for name in SCALARS.values()}
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            yield f"{name} is {value}; expected a positive number"
            return
    energy, wavelength = values["beam/photon_energy"], values["beam/wavelength"]
    if abs(wavelength_angstrom(energy) / wavelength - 1) > 1e-6:
        yield f"a wavelength of {wavelength} Å does not belong to {energy} eV"


@check("error")
def pixels_left(patterns: PatternFile) -> Iterator[str]:
    """The mask leaves usable pixels."""
    if not patterns.good.any():
        yield "every pixel is masked"


@check("error")
def finite(patterns: PatternFile) -> Iterator[str]:
    """Gain, background, solid angle and polarisation of usable pixels are numbers, not negative.

    A gain is not 0 either: such a pixel sees nothing, and belongs in the mask.
    """
    for name in ("gain", "background", "solid_angle", "polarisation"):
        values = patterns.array(name)[patterns.good]
        bad = ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            yield f"detector/{name} is negative or not a number in {bad.sum()} usable pixels"
        if name == "gain" and (values == 0).any():
            yield f"detector/gain is 0 in {(values == 0).sum()} usable pixels"
    for name in ("position", "s"):
        bad = ~np.isfinite(patterns.array(name)[patterns.good]).all(1)
        if bad.any():
            yield f"detector/{name} is not a number in {bad.sum()} usable pixels"


@check("error")
def ewald(patterns: PatternFile) -> Iterator[str]:
    """Scattering vectors follow from pixel positions and wavelength."""
    position, good = patterns.array("position"), patterns.good
    if not np.isfinite(position[good]).all() or not good.any():
        return
    expected = scattering_vectors(position[good], patterns.scalar("beam/wavelength"))
    error = np.abs(patterns.array("s")[good] - expected).max()
    if not error < 1e-5 * np.abs(expected).max():
        yield f"s differs from (k_out − z)/λ by up to {error:.3g} Å⁻¹"


@check("error")
def gain(patterns: PatternFile) -> Iterator[str]:
    """The gain is fluence × r_e² × solid angle × polarisation."""
    per_steradian = patterns.scalar("beam/fluence") * CLASSICAL_ELECTRON_RADIUS_UM**2
    expected = per_steradian * patterns.array("solid_angle") * patterns.array("polarisation")
    if not np.allclose(patterns.array("gain"), expected, rtol=1e-5, equal_nan=True):
        yield "gain is not J₀·r_e²·ΔΩ·P; corrections belong in the gain, never in the counts"


@check("error")
def polarisation(patterns: PatternFile) -> Iterator[str]:
    """Polarisation factors lie between 0 and 1."""
    values = patterns.array("polarisation")[patterns.good]
    if (values > 1 + 1e-5).any():
        yield f"the largest polarisation factor is {values.max():.4g}"


@check("error")
def solid_angle(patterns: PatternFile) -> Iterator[str]:
    """Solid angles fit the distances between pixels, and together less than the whole sphere."""
    values, position = patterns.array("solid_angle"), patterns.array("position")
    use = patterns.good & np.isfinite(position).all(1) & np.isfinite(values)
    values, position = values[use], position[use]
    if len(values) < 2:
        return
    if values.sum() > 4 * math.pi:
        yield f"usable pixels cover {values.sum():.4g} sr, more than 4π"
    some = np.unique(np.linspace(0, len(values) - 1, _TREE_PIXELS).astype(int))
    pitch = cKDTree(position).query(position[some], k=2)[0][:, 1]
    area = values[some] * (position[some] ** 2).sum(1)
    ratio = float(np.median(area) / max(np.median(pitch) ** 2, 1e-300))
    if not _AREA_RANGE[0] < ratio < _AREA_RANGE[1]:
        yield (
            f"a pixel covers {ratio:.3g} times its pitch squared as seen from the particle; are "
            "positions in mm and solid angles in sr?"
        )
