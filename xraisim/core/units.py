"""Physical constants and unit conversions (CODATA 2018)."""

from xraisim.core.errors import UserError

HC_EV_ANGSTROM = 12398.419843320026
CLASSICAL_ELECTRON_RADIUS_UM = 2.8179403262e-9


def wavelength_angstrom(photon_energy_ev: float) -> float:
    """Return the wavelength in Å of a photon of ``photon_energy_ev``."""
    if not photon_energy_ev > 0:
        raise UserError(f"photon energy is {photon_energy_ev} eV; it must be positive")
    return HC_EV_ANGSTROM / photon_energy_ev
