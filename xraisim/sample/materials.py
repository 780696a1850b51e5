"""Materials of homogeneous particles: electrons per Å³, with f′ and f″."""

from dataclasses import dataclass, field

import gemmi

_AVOGADRO_PER_CM3 = 0.602214076  # Avogadro's number times 1 Å³ in cm³


@dataclass(frozen=True, kw_only=True)
class Material:
    """A substance of density ``density_g_per_cm3`` whose formula has ``atoms``, symbol to count."""

    density_g_per_cm3: float
    atoms: dict[str, float] = field(default_factory=dict)

    def electrons_per_angstrom3(self, photon_energy_ev: float | None) -> complex:
        """Return Σ (Z + f′ + i f″) per Å³; None leaves out f′ and f″ (Cromer & Liberman 1981)."""
        mass, electrons = 0.0, 0j
        for symbol, count in self.atoms.items():
            element = gemmi.Element(symbol)
            mass += count * element.weight
            electrons += count * element.atomic_number
            if photon_energy_ev is not None:
                f = gemmi.cromer_liberman(element.atomic_number, photon_energy_ev)
                electrons += count * complex(*f)
        return electrons * self.density_g_per_cm3 * _AVOGADRO_PER_CM3 / mass


#: Protein: the mean composition and density that Condor uses (Hantke et al. 2016).
MATERIALS = {
    "gold": Material(density_g_per_cm3=19.3, atoms={"Au": 1}),
    "protein": Material(density_g_per_cm3=1.35, atoms={"H": 86, "C": 52, "N": 13, "O": 15, "S": 1}),
    "water": Material(density_g_per_cm3=1.0, atoms={"H": 2, "O": 1}),
}
