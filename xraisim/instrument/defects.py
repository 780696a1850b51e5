"""Dead, hot and noisy pixels: what the detector does, and what its mask knows of it."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from xraisim.core.errors import ConfigError, SamplingError
from xraisim.core.random import uniforms
from xraisim.core.settings import NotNegative, Settings, Share, Whole
from xraisim.instrument.detector import Geometry, MaskReason

GOOD, DEAD, HOT, NOISY = 0, 1, 2, 3
DEFECT_NAMES = ("good", "dead", "hot", "noisy")


@dataclass(frozen=True, kw_only=True)
class Defects(Settings, table="defects"):
    """Which pixels are defective, drawn at random in the given fractions or listed.

    Dead pixels see nothing. Hot and noisy ones see all that others do and, in every shot, extra
    photons: Poisson of mean ``hot_photons_per_pixel`` or ``noisy_photons_per_pixel``. ``announced``
    is the fraction of defective pixels that the experimenter's mask takes away. ``dead_pixels``,
    ``hot_pixels``, ``noisy_pixels``: flat indices, on top of the fractions. Raises
    :class:`ConfigError`.
    """

    dead_fraction: Share = 0.0
    hot_fraction: Share = 0.0
    noisy_fraction: Share = 0.0
    hot_photons_per_pixel: NotNegative = 10.0
    noisy_photons_per_pixel: NotNegative = 0.1
    announced: Share = 1.0
    dead_pixels: tuple[Whole, ...] = ()
    hot_pixels: tuple[Whole, ...] = ()
    noisy_pixels: tuple[Whole, ...] = ()

    def check(self) -> None:
        """Refuse more defects than pixels."""
        if not sum(self._fractions()) <= 1:
            raise ConfigError(
                f"defects take {sum(self._fractions()):g} of all pixels; the fractions must add up "
                "to 1 or less"
            )

    def _fractions(self) -> tuple[float, float, float]:
        return self.dead_fraction, self.hot_fraction, self.noisy_fraction

    def draw(self, seed: int, pixels: int) -> UInt8[np.ndarray, "{pixels}"]:
        """Return the state of each of ``pixels`` pixels: GOOD, DEAD, HOT or NOISY.

        A pixel's state depends on (seed, its flat index) alone.
        """
        uniform = uniforms(seed, "defects", np.arange(pixels), 1)[:, 0]
        bounds = np.cumsum(self._fractions())
        state = np.array([DEAD, HOT, NOISY, GOOD], np.uint8)[
            np.searchsorted(bounds, uniform, side="right")
        ]
        for kind, name in ((DEAD, "dead"), (HOT, "hot"), (NOISY, "noisy")):
            listed = np.array(getattr(self, f"{name}_pixels"), np.int64)
            if len(listed) and not (listed.min() >= 0 and listed.max() < pixels):
                raise ConfigError(
                    f"defects.{name}_pixels runs from {listed.min()} to {listed.max()}; the "
                    f"detector has pixels 0 … {pixels - 1}"
                )
            state[listed] = kind
        return state


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a detector with defects does, and what the experimenter believes.

    ``believed``: the geometry whose mask includes the announced defects. ``gain``: true gain, 0
    where dead. ``extra_photons``: mean photons that a hot or noisy pixel adds to every shot,
    whatever its fluence and background. ``defect``: GOOD, DEAD, HOT or NOISY. A dead pixel does not
    see the background either.
    """

    believed: Geometry
    gain: Float64[np.ndarray, "P"]
    extra_photons: Float64[np.ndarray, "P"]
    defect: UInt8[np.ndarray, "P"]


def respond(geometry: Geometry, defects: Defects, seed: int) -> Response:
    """Return the response of a detector with ``defects`` drawn for ``seed``.

    Raises :class:`ConfigError` for listed pixels that are not there and :class:`SamplingError` if
    the announced defects leave no pixel.
    """
    pixels = len(geometry.reasons)
    defect = defects.draw(seed, pixels)
    known = uniforms(seed, "announced defects", np.arange(pixels), 1)[:, 0] < defects.announced
    announced = (defect != GOOD) & known
    reasons = geometry.reasons | np.where(announced, MaskReason.DEFECT, 0).astype(np.uint8)
    if reasons.all():
        raise SamplingError(
            f"{announced.sum()} announced defects of {pixels} pixels leave no usable pixel; lower "
            "the fractions under defects"
        )
    added = np.array([0.0, 0.0, defects.hot_photons_per_pixel, defects.noisy_photons_per_pixel])
    return Response(
        believed=dataclasses.replace(geometry, reasons=reasons),
        gain=np.where(defect == DEAD, 0.0, geometry.gain),
        extra_photons=added[defect],
        defect=defect,
    )
