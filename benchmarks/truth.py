"""What a result is scored against: one species of the sample, and its single hits.

A method leaves one volume, so one species is scored: that of the largest weight, the first of ties,
or the one that ``score.species`` names. The models of a species with ``all_models`` are species of
their own here; a spread of sizes is not: the median size is scored. Poses are compared over the
patterns that are single hits of that species. Whatever else was hit has no true pose (NaN).
"""

import dataclasses
import math
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmarks.comparison import TrueParticle
from xraisim.core.errors import ConfigError, FormatError, did_you_mean
from xraisim.files.truth import Truth
from xraisim.photons.hits import SINGLE
from xraisim.sample.species import Species, checksums, conformations, load_species
from xraisim.simulation import config as simulation
from xraisim.simulation.config import SimulationConfig


def scored_species(species: Sequence[Species], name: str = "") -> int:
    """Return the number of the species that is scored, as the truth file counts them.

    ``species``: those of the sample, with their conformations. Raises :class:`ConfigError` for a
    ``name`` that none has.
    """
    if not name:
        return int(np.argmax([one.weight for one in species]))
    labels = [one.label for one in species]
    if name not in labels:
        raise ConfigError(f"score.species is {name!r}; {did_you_mean(name, labels)}")
    return labels.index(name)


def check_name(species: Sequence[Species], name: str) -> None:
    """Refuse the name of a species that the sample cannot have; no structure is read."""
    if not any(one.all_models and name.startswith(f"{one.label} model ") for one in species):
        scored_species(species, name)


def single_hits(known: Truth, number: int) -> Bool[np.ndarray, "N"]:
    """Return which patterns show one particle, of species ``number``, and no other."""
    single = known.hits == SINGLE
    first = known.particles.offsets[:-1][single]
    single[single] = known.particles.model[first] == number
    return single


def true_orientations(known: Truth, number: int) -> Float[Tensor, "N 4"]:
    """Return the orientations of the single hits of species ``number``, NaN for the others."""
    orientations = torch.from_numpy(known.orientations.copy())
    orientations[torch.from_numpy(~single_hits(known, number))] = math.nan
    return orientations


def poses_to_merge(known: Truth, name: str = "") -> Float[Tensor, "N 4"]:
    """Return :func:`true_orientations` of the scored species, as a truth file alone tells it.

    Raises :class:`FormatError` if no pattern is a single hit of it.
    """
    species = conformations(_sample(known))
    number = scored_species(species, name)
    if not single_hits(known, number).any():
        raise FormatError(
            f"none of the {len(known.hits):,} patterns is a single hit of "
            f"{species[number].label}, which is scored; make more patterns, or set score.species"
        )
    return true_orientations(known, number)


def true_particle(
    config: SimulationConfig, name: str, s_range: tuple[float, float], known: Truth | None
) -> TrueParticle:
    """Return the scored species of a simulation, within |s| in Å⁻¹.

    ``name``: of the species, empty for the main one; ``known``: the truth of the patterns, None
    where no poses are compared. Raises :class:`ConfigError` for a sphere, which has none.
    """
    species = conformations(config.sample)
    number = scored_species(species, name)
    scored = species[number]
    if scored.shape == "sphere":
        raise ConfigError(
            f"{scored.label} is a sphere, which looks the same from all sides: there is no "
            "orientation to find and nothing to correlate in a shell; score another species "
            "(score.species)"
        )
    return TrueParticle(
        particle=load_species(scored),
        photon_energy_ev=scored.photon_energy_ev(config.beam.photon_energy_ev),
        orientations=torch.empty(0, 4) if known is None else true_orientations(known, number),
        s_range=s_range,
    )


def check_sample(path: Path, known: Truth, config: SimulationConfig) -> None:
    """Refuse a truth whose sample is not that of a simulation, with the first difference."""
    found, wanted = _sample(known), config.sample
    difference = _difference(found, wanted)
    if not difference:
        sums = checksums(conformations(wanted))
        difference = "".join(
            f"its {file} has the SHA-256 {known.structures_sha256.get(file)}, expected {expected}"
            for file, expected in sums.items()
            if known.structures_sha256.get(file) != expected
        )
    if difference:
        raise FormatError(
            f"{path} is the truth of another sample than the task's: {difference}; give the file "
            "that was made with the patterns, or the task that they are of"
        )


def _sample(known: Truth) -> tuple[Species, ...]:
    """Return the species of which a truth file says that it was made."""
    return simulation.from_mapping(tomllib.loads(known.config)).sample


def _difference(found: Sequence[Species], wanted: Sequence[Species]) -> str:
    if len(found) != len(wanted):
        labels = [", ".join(one.label for one in some) for some in (found, wanted)]
        return f"it has the species {labels[0]}, expected {labels[1]}"
    for here, there in zip(found, wanted, strict=True):
        for setting in dataclasses.fields(Species):
            value, expected = (getattr(one, setting.name) for one in (here, there))
            if value != expected:
                return f"{setting.name} of {here.label} is {value!r}, expected {expected!r}"
    return ""
