import dataclasses

import numpy as np
import pytest

from xraisim.core import config as configuration
from xraisim.core.errors import ConfigError, StructureError
from xraisim.sample.shapes import Body
from xraisim.sample.solvent import Hydrated, Solvent
from xraisim.sample.species import Species, abundances, conformations, load_species
from xraisim.sample.structure import Atoms
from xraisim.scattering.intensity import intensity_spline, look_up


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    species: tuple[Species, ...] = ()


@pytest.fixture
def two_models(write_pdb):
    def atom(serial: int, x: float) -> str:
        site = f"ATOM  {serial:5d}  C   GLY A{serial:4d}    {x:8.3f}{0:8.3f}{0:8.3f}"
        return f"{site}  1.00 10.00           C\n"

    first = ["MODEL        1\n", atom(1, 0), atom(2, 20), "ENDMDL\n"]
    second = ["MODEL        2\n", atom(1, 0), atom(2, 30), "ENDMDL\n"]
    return write_pdb([*first, *second], name="pair.pdb")


def test_every_kind_of_particle_has_an_intensity_volume(small_particle):
    for species, kind in (
        (Species(structure=str(small_particle)), Atoms),
        (Species(structure=str(small_particle), solvent=Solvent(enabled=True)), Hydrated),
        (Species(shape="octahedron", size_nm=5, material="gold"), Body),
    ):
        particle = load_species(species)
        assert isinstance(particle, kind)
        volume = intensity_spline(particle, 0.03, species.photon_energy_ev(4600.0))
        forward = look_up(volume, np.zeros((1, 3)))[0]
        assert forward == pytest.approx(particle.electrons**2, rel=0.1)  # f′ is part of it


def test_a_sample_goes_through_its_configuration_file_and_back(tmp_path):
    text = """
    [[species]]
    structure = "4v5d"
    chains = "B*"
    weight = 3.0
    solvent = { enabled = true, shell_angstrom = 3.0 }
    [[species]]
    name = "nugget"
    shape = "cube"
    size_nm = 30
    material = "gold"
    """
    path = tmp_path / "sample.toml"
    path.write_text(text)
    sample = configuration.load(Sample, path)
    assert [one.label for one in sample.species] == ["4v5d", "nugget"]
    np.testing.assert_allclose(abundances(sample.species), [0.75, 0.25])
    path.write_text(configuration.dumps(sample))
    assert configuration.load(Sample, path) == sample


def test_b_factors_and_anomalous_terms_can_be_left_out(small_particle):
    still = Species(structure=str(small_particle), b_factors=False, anomalous=False)
    assert not load_species(still).b_iso.any()
    assert load_species(Species(structure=str(small_particle))).b_iso.all()
    assert still.photon_energy_ev(4600.0) is None


def test_all_models_become_conformations_of_equal_weight(two_models):
    pair = Species(structure=str(two_models), name="pair", weight=3.0, all_models=True)
    gold = Species(shape="sphere", size_nm=5, material="gold")
    found = conformations([pair, gold])
    assert [one.label for one in found] == ["pair model 1", "pair model 2", "sphere"]
    assert [one.weight for one in found] == [1.5, 1.5, 1.0]
    diameters = [load_species(one).diameter_angstrom for one in found]
    np.testing.assert_allclose(diameters, [20, 30, 50], atol=0.1)
    with pytest.raises(ConfigError, match="stands for several models"):
        load_species(pair)
    with pytest.raises(StructureError, match="no model 3"):
        load_species(Species(structure=str(two_models), model=3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either a structure or a shape"),
        ({"structure": "4v5d", "shape": "cube"}, "either a structure or a shape"),
        ({"structure": "4v5d", "weight": 0.0}, "weight is 0.0; expected above 0"),
        ({"structure": "4v5d", "size_nm": 3.0}, "4v5d is a structure, which has no size_nm"),
        ({"structure": "4v5d", "size_spread": 0.1}, "4v5d is a structure, which has no size_spr"),
        ({"structure": "4v5d", "model": 2, "all_models": True}, "a model's number"),
        ({"shape": "cube", "size_nm": 3.0}, "either a material or electrons_per_angstrom3"),
        ({"shape": "ball", "size_nm": 3.0, "material": "gold"}, "expected one of sphere"),
        (
            {"shape": "cube", "size_nm": 3.0, "material": "gold", "chains": "A"},
            "a shape, which has no chains",
        ),
        (
            {"shape": "cube", "size_nm": 3.0, "material": "gold", "solvent": Solvent(enabled=True)},
            "a shape, which has no solvent",
        ),
    ],
)
def test_unclear_species_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Species(**settings)
