"""What is in the sample: structures, their models, or homogeneous bodies, with their abundances."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float64

from xraisim.core.errors import ConfigError
from xraisim.core.settings import NotNegative, Positive, Range, Settings, Share, Whole
from xraisim.sample.copies import check_copies, copied
from xraisim.sample.locate import locate, sha256
from xraisim.sample.shapes import Body
from xraisim.sample.solvent import Solvent, hydrate
from xraisim.sample.structure import read_atoms
from xraisim.sample.structure_file import count_models
from xraisim.scattering.friedel import Scatterer

_OF_STRUCTURES = (
    "chains",
    "assembly",
    "model",
    "all_models",
    "add_hydrogens",
    "solvent",
    "copies",
    "copies_offset_angstrom",
    "copy_occupancies",
)
_OF_SHAPES = ("size_nm", "material", "electrons_per_angstrom3", "size_spread")
_Coordinate = Annotated[float, Range()]  # Å


@dataclass(frozen=True, kw_only=True)
class Species(Settings, table="species[]"):
    """One kind of particle: a ``structure`` or a ``shape``.

    ``name`` labels it; ``weight`` is its abundance relative to the others' weights.

    A structure: a path or an identifier; ``chains``: shell patterns; ``assembly``: its name, empty
    for the atoms as deposited; ``model``: its number in the file from 1, 0 for the first
    (all of them in a file of an assembly's copies);
    ``all_models``: every model of the file as a conformation of equal weight; ``b_factors``,
    ``anomalous``: whether B factors and f′, f″ are used; ``add_hydrogens``: those that the file
    leaves out; ``solvent``: the water around it; ``copies``: a point group, by whose rotations the
    structure is copied (:mod:`xraisim.sample.copies`) with its centre at
    ``copies_offset_angstrom``, each copy's occupancies times its own of ``copy_occupancies``.

    A shape: ``"sphere"``, ``"cube"``, ``"octahedron"`` or ``"icosahedron"`` of ``size_nm``, the
    diameter of a sphere and the edge of the others, filled with a ``material`` (``"gold"``,
    ``"protein"``, ``"water"``) or with ``electrons_per_angstrom3``. ``size_spread``: the standard
    deviation of ln(size) from particle to particle, a Gaussian cut at 3σ about the median
    ``size_nm``.

    Raises :class:`ConfigError` for anything else.
    """

    name: str = ""
    weight: Positive = 1.0
    structure: str = ""
    chains: str = "*"
    assembly: str = ""
    model: Whole = 0
    all_models: bool = False
    b_factors: bool = True
    anomalous: bool = True
    add_hydrogens: bool = False
    solvent: Solvent = field(default_factory=Solvent)
    shape: str = ""
    size_nm: NotNegative = 0.0
    material: str = ""
    electrons_per_angstrom3: NotNegative = 0.0
    size_spread: Annotated[float, Range(least=0, most=0.5)] = 0.0
    copies: str = ""
    copies_offset_angstrom: tuple[_Coordinate, ...] = (0.0, 0.0, 0.0)
    copy_occupancies: tuple[Share, ...] = ()

    def check(self) -> None:
        """Refuse a mixture of a structure and a shape."""
        if bool(self.structure) == bool(self.shape):
            raise ConfigError(
                "a species is either a structure or a shape; found structure "
                f"{self.structure!r} and shape {self.shape!r}"
            )
        self._refuse(_OF_SHAPES if self.structure else _OF_STRUCTURES)
        if self.model and self.all_models:
            raise ConfigError(
                f"{self.label}: model is {self.model} and all_models {self.all_models}; give a "
                "model's number from 1, or all of them"
            )
        if self.shape:
            self.body()
        if self.copies:
            check_copies(self.copies, self.copies_offset_angstrom, self.copy_occupancies)
        elif self.copy_occupancies or any(self.copies_offset_angstrom):
            raise ConfigError(
                f"{self.label} has copies_offset_angstrom or copy_occupancies, but no copies; give "
                "their point group, or leave them out"
            )

    def _refuse(self, names: Sequence[str]) -> None:
        """Raise :class:`ConfigError` if a setting of the other kind of species was changed."""
        for known in dataclasses.fields(self):
            unset = known.default if known.default is not dataclasses.MISSING else Solvent()
            if known.name in names and getattr(self, known.name) != unset:
                kind = "a structure" if self.structure else "a shape"
                raise ConfigError(
                    f"{self.label} is {kind}, which has no {known.name}; leave it out"
                )

    @property
    def place(self) -> str:
        """The species, by its label."""
        return f"{self.label}: "

    @property
    def label(self) -> str:
        """The name, or else what it is made of."""
        return self.name or self.structure or self.shape

    def photon_energy_ev(self, beam_ev: float) -> float | None:
        """Return the energy at which f′ and f″ are taken, None if they are left out."""
        return beam_ev if self.anomalous else None

    def body(self) -> Body:
        """Return the homogeneous body of a shape."""
        return Body(
            shape=self.shape,
            size_angstrom=10 * self.size_nm,
            material=self.material,
            electrons_per_angstrom3=self.electrons_per_angstrom3,
        )


def load_species(species: Species, *, directory: Path | str | None = None) -> Scatterer:
    """Return the particle of a species, centred; its structure is sought in ``directory`` first.

    Raises :class:`StructureError` for a structure that cannot be found or read, and
    :class:`ConfigError` for ``all_models``, which :func:`conformations` resolves.
    """
    if species.shape:
        return species.body()
    if species.all_models:
        raise ConfigError(f"{species.label} stands for several models; take its conformations")
    atoms = read_atoms(
        locate(species.structure, directory=directory),
        chains=species.chains,
        assembly=species.assembly,
        model=species.model,
        b_factors=species.b_factors,
        add_hydrogens=species.add_hydrogens,
    )
    if species.copies:
        atoms = copied(
            atoms, species.copies, species.copies_offset_angstrom, species.copy_occupancies
        )
    return hydrate(atoms, species.solvent) if species.solvent.enabled else atoms


def conformations(
    species: Sequence[Species], *, directory: Path | str | None = None
) -> tuple[Species, ...]:
    """Return the species with each ``all_models`` replaced by its models, which share its weight.

    Model k of species ``name`` is called ``name model k``. Raises :class:`StructureError`.
    """
    out: list[Species] = []
    for one in species:
        if not one.all_models:
            out.append(one)
            continue
        models = count_models(locate(one.structure, directory=directory))
        out += [
            dataclasses.replace(
                one,
                name=f"{one.label} model {number}",
                model=number,
                all_models=False,
                weight=one.weight / models,
            )
            for number in range(1, models + 1)
        ]
    return tuple(out)


def checksums(species: Sequence[Species], *, directory: Path | str | None = None) -> dict[str, str]:
    """Return the SHA-256 of every structure file that a sample is made of, by file name."""
    paths = {locate(one.structure, directory=directory) for one in species if one.structure}
    return {path.name: sha256(path) for path in sorted(paths)}


def abundances(species: Sequence[Species]) -> Float64[np.ndarray, "M"]:
    """Return the weights scaled to add up to 1."""
    weights = np.array([one.weight for one in species])
    return weights / weights.sum()
