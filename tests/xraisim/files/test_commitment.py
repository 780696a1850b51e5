"""The commitment of a pattern file, and where its salt lies."""

import pytest

from xraisim.core.errors import ConfigError
from xraisim.files.commitment import commitment, salt_path, salted
from xraisim.files.patterns import PatternReader
from xraisim.files.shards import Shard
from xraisim.files.truth import read_truth, truth_path
from xraisim.photons.draw import PhotonSampler
from xraisim.simulation.config import from_mapping
from xraisim.simulation.make import simulate


@pytest.fixture
def config(small_particle):
    def of(**changes):
        return from_mapping(
            {"structure": str(small_particle), "patterns": 6, "seed": 1, "detector": {"rows": 16}}
            | {"beam": {"photons_per_pulse": 1e17}}
            | changes
        )

    return of


def _told(path):
    with PatternReader(path) as reader:
        return reader.info["provenance"]


def test_it_depends_on_everything_that_photons_follow_from():
    recipe = {"seed": 1, "config": "a = 1"}
    one = commitment(recipe, "salt")
    assert len(one) == 64
    assert one == commitment(dict(reversed(recipe.items())), "salt")
    others = [({"seed": 2, "config": "a = 1"}, "salt"), (recipe, "pepper")]
    assert one not in [commitment(*other) for other in others]


def test_a_pattern_file_says_nothing_from_which_its_truth_follows(config, tmp_path):
    simulate(config(), tmp_path / "a.h5")
    told = _told(tmp_path / "a.h5")
    assert set(told) == {"commitment", "patterns", "versions"}
    truth = read_truth(truth_path(tmp_path / "a.h5"))
    assert truth.seed == 1
    recipe = {
        "seed": truth.seed,
        "draw_version": truth.draw_version,
        "species": list(truth.species),
        "structures_sha256": truth.structures_sha256,
        "config": truth.config,
    }
    assert commitment(recipe, truth.salt) == told["commitment"]
    assert not salt_path(tmp_path / "a.h5").exists()
    simulate(config(), tmp_path / "b.h5")
    assert _told(tmp_path / "b.h5")["commitment"] != told["commitment"], "another salt"


def test_shards_share_a_salt(config, tmp_path):
    for k in (2, 1):
        simulate(config(), tmp_path / "a.h5", shard=Shard(k, 2))
    parts = [Shard(k, 2).path(tmp_path / "a.h5") for k in (1, 2)]
    one, other = map(_told, parts)
    assert one["commitment"] == other["commitment"]
    salt_path(tmp_path / "a.h5").unlink()
    parts[0].unlink()
    simulate(config(), tmp_path / "a.h5", shard=Shard(1, 2))  # takes it from the other's truth
    assert _told(parts[0])["commitment"] == other["commitment"]


def test_a_finished_set_is_told_apart_by_its_seed(config, tmp_path):
    simulate(config(), tmp_path / "a.h5")
    assert simulate(config(), tmp_path / "a.h5", resume=True).resumed == 6
    with pytest.raises(ConfigError, match="other settings, another seed, other structures or"):
        simulate(config(seed=2), tmp_path / "a.h5", resume=True)


def test_the_draw_is_part_of_the_recipe(config, tmp_path, monkeypatch):
    made = simulate(config(), tmp_path / "a.h5")
    assert read_truth(made.truth_path).draw_version == PhotonSampler.version
    monkeypatch.setattr(PhotonSampler, "version", 99)
    with pytest.raises(ConfigError, match="or another draw"):
        simulate(config(), tmp_path / "a.h5", resume=True)
    assert read_truth(simulate(config(), tmp_path / "b.h5").truth_path).draw_version == 99


def test_a_set_made_before_draws_had_versions_goes_on():
    recipe = {"seed": 1, "config": "a = 1"}
    before = "ca8e06d8d2dcb65a69daf2b3c68da8851567ce75273a8b23ae9f0fab15ed7458"
    assert commitment(recipe, "salt") == before
    assert commitment({**recipe, "draw_version": 1}, "salt") == before
    assert commitment({**recipe, "draw_version": 2}, "salt") != before


def test_a_run_that_wrote_nothing_leaves_no_salt(tmp_path):
    with pytest.raises(KeyError), salted(tmp_path / "a.h5", Shard(), resume=False):
        raise KeyError
    assert not list(tmp_path.iterdir())
