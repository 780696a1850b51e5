"""Settings that cannot work are refused with what was found and what was expected."""

import pytest

from baselines.classify.config import ClassifyConfig
from baselines.emc import EmcConfig, Level
from xraisim.core import config as toml
from xraisim.core.errors import ConfigError
from xraisim.core.renamed import RenamedWarning

COARSE = Level(reach=2, rotations=10, iterations=4, ramp=3, information=(0.2, 0.8))


@pytest.mark.parametrize(
    "changes",
    [
        {"reach": 0.0}, {"rotations": 0}, {"iterations": 0}, {"patterns": -1}, {"ramp": 0},
        {"information": (0.9, 0.5)}, {"information": (0.0, 0.5)}, {"search": "everywhere"},
    ],
)  # fmt: skip
def test_levels(changes):
    with pytest.raises(ConfigError, match=f"{next(iter(changes))} is "):
        Level(**{"reach": 2, "rotations": 10, "iterations": 4} | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"restarts": 0}, {"d_min_angstrom": 0.0}, {"oversampling": 1.5}, {"prior": 1.0},
        {"threshold": 0.0}, {"tolerance": -1.0}, {"fluence_classes": 0}, {"block_patterns": 0},
        {"cache_gib": -1.0}, {"classes": 0}, {"engine": "steam"}, {"rings_per_speckle": 0.0},
        {"band": 0.0}, {"start_information": 0.0}, {"levels": ()}, {"junk": -1},
    ],
)  # fmt: skip
def test_settings(changes):
    with pytest.raises(ConfigError, match=f"{next(iter(changes))} is "):
        EmcConfig(**changes)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([{"patterns": 5}], "last level"),
        ([{"reach": 3}, {"reach": 2}], "never fall"),
        ([{"search": "local"}], '"global" level first'),
        ([{"patterns": 5}, {"search": "local"}], "of no fewer patterns"),
    ],
)
def test_orders_of_levels(levels, expected):
    made = [Level(**{"reach": 2, "rotations": 10, "iterations": 4} | one) for one in levels]
    with pytest.raises(ConfigError, match=expected):
        EmcConfig(levels=tuple(made))


def test_a_point_group_must_exist():
    with pytest.raises(ConfigError):
        EmcConfig(symmetry="Q7")


def test_information_rises_over_the_ramp():
    found = [COARSE.information_at(iteration) for iteration in range(5)]
    assert found == pytest.approx([0.2, 0.5, 0.8, 0.8, 0.8])
    assert Level(reach=2, rotations=10, iterations=4).information_at(0) == 0.95


def test_what_follows_from_the_settings():
    config = EmcConfig(levels=(COARSE, COARSE), restarts=3, classes=2, junk=2)
    assert config.iterations == 3 * 4 + 4
    assert config.isotropic == [False, False, True, True]
    assert len(EmcConfig(symmetry="D2").group) == 4


def test_the_reach_is_taken_under_its_old_name():
    level = {"speckles": 2.5, "rotations": 10, "iterations": 4}
    with pytest.warns(RenamedWarning, match=r"levels\[\]\.speckles is called levels\[\]\.reach"):
        assert toml.from_mapping(EmcConfig, {"levels": [level]}).levels[0].reach == 2.5
    with pytest.warns(RenamedWarning, match=r"^speckles is called reach now"):
        assert toml.from_mapping(ClassifyConfig, {"speckles": 4.0}).reach == 4
