"""What experiments have: outside of these ranges a number is in another unit, or damaged.

Photon energies run from the extreme ultraviolet to hard X-rays, distances from the closest camera
to the longest arm, pixels from lens-coupled cameras to binned pads; all with room to spare.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from xraisim.core.errors import ConfigError, UserError

JOULE_PER_EV = 1.602176634e-19
GIVE_OURS = "settings are in the unit that their name ends in"


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A quantity from ``lowest`` to ``highest`` in ``unit``.

    ``units``: those that files have it in, and how many of ``unit`` one of them is.
    """

    name: str
    unit: str
    lowest: float
    highest: float
    units: Mapping[str, float]

    def problem(self, value: float, unit: str = "") -> str:
        """Return what is wrong with ``value``, in our unit, that was read in ``unit``; or nothing.

        Names the units in which the number that was read would be plausible.
        """
        if self.lowest <= value <= self.highest:
            return ""
        unit = unit or self.unit
        read = value / self.units[unit]
        ours = "" if unit == self.unit else f", which is {value:.4g} {self.unit}"
        others = [
            f"{read:.6g} {name}"
            for name, factor in self.units.items()
            if name != unit and self.lowest <= read * factor <= self.highest
        ]
        meant = f" ({' or '.join(others)} would be: is that the unit?)" if others else ""
        return (
            f"{self.name} is {read:.6g} {unit}{ours}; experiments have {self.lowest:g} to "
            f"{self.highest:g} {self.unit}{meant}"
        )


_LENGTHS = {"mm": 1.0, "m": 1e3, "cm": 10.0, "µm": 1e-3}
PHOTON_ENERGY = Quantity(
    name="photon energy",
    unit="eV",
    lowest=30.0,
    highest=150e3,
    units={"eV": 1.0, "keV": 1e3, "J": 1 / JOULE_PER_EV},
)
DISTANCE = Quantity(name="distance", unit="mm", lowest=5.0, highest=30e3, units=_LENGTHS)
PIXEL_SIZE = Quantity(name="pixel size", unit="mm", lowest=5e-4, highest=20.0, units=_LENGTHS)

QUANTITIES = {
    "photon_energy_ev": PHOTON_ENERGY,
    "distance_mm": DISTANCE,
    "pixel_size_mm": PIXEL_SIZE,
    "pixel_height_mm": PIXEL_SIZE,
}
_LOWEST_REACH, _HIGHEST_REACH = 0.3, 3000.0


def require(
    key: str,
    value: float,
    *,
    where: str,
    advice: str,
    unit: str = "",
    error: type[UserError] = ConfigError,
) -> float:
    """Return ``value`` of the setting ``key``, or raise ``error`` if no experiment has it.

    ``value`` is in our unit, ``unit`` the one in which it was read, if another. ``where``: what
    says so; ``advice``: what to do.
    """
    if problem := QUANTITIES[key].problem(value, unit):
        raise error(f"{where}: {problem}; {advice}")
    return value


def require_reach(s_max_per_angstrom: float, diameter_angstrom: float) -> None:
    """Raise :class:`ConfigError` unless s·D at the detector's edge is that of an experiment.

    Below, no pattern tells one orientation from another; above, no detector has the pixels.
    """
    reach = s_max_per_angstrom * diameter_angstrom
    if _LOWEST_REACH <= reach <= _HIGHEST_REACH:
        return
    meant = ""
    if _LOWEST_REACH <= 10 * reach <= _HIGHEST_REACH:
        meant = f" ({diameter_angstrom:g} nm would be plausible: is that the unit?)"
    raise ConfigError(
        f"s·D is {reach:.3g} at the detector's edge, s = {s_max_per_angstrom:.4g} Å⁻¹, for a "
        f"particle of {diameter_angstrom:g} Å{meant}; experiments have {_LOWEST_REACH:g} to "
        f"{_HIGHEST_REACH:g}; check the diameter (in Å), photon energy, distance and pixel size"
    )
