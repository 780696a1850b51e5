"""Every setting of every configuration states what it may be, and nothing else is taken."""

import dataclasses
import importlib
import math
import pkgutil
from typing import Annotated, Any, get_type_hints

import pytest
from jaxtyping import TypeCheckError

from baselines.emc import EmcConfig, Level
from baselines.phasing.config import PhasingConfig, StageConfig
from benchmarks.description import Description, Machine
from benchmarks.studies.virus_twin.settings import ExperimentSettings
from benchmarks.task import Task
from xrai.config import SearchConfig, StartConfig, TrainConfig
from xrai.decoder.config import DecoderConfig
from xraisim.core import config, settings
from xraisim.core.errors import ConfigError
from xraisim.core.settings import OneOf, Range, Settings
from xraisim.instrument.panels import Panel
from xraisim.sample.shapes import Body
from xraisim.sample.species import Species
from xraisim.simulation.config import SimulationConfig

_PACKAGES = ("xraisim", "xrai", "baselines", "benchmarks.studies.virus_twin")
_HUGE = 10.0**30
_NEEDED: dict[type, dict[str, Any]] = {  # what has no default
    Level: {"reach": 2.0, "rotations": 10, "iterations": 1},
    Panel: {
        "name": "a", "rows": 2, "columns": 2,
        "corner_mm": (0.0, 0.0, 0.0), "fs_mm": (1.0, 0.0, 0.0), "ss_mm": (0.0, 1.0, 0.0),
    },
    Species: {"structure": "4v5d"},
    Task: {"name": "a", "summary": "b", "simulate": SimulationConfig()},
    Description: {
        "method": "a", "version": "1", "authors": ("A",), "contact": "b@c.d", "license": "e",
        "code": "https://f.g", "task": "quick", "task_version": 1, "seconds": 1.0,
        "hardware": Machine(cpu="h", cores=1, memory_gib=1.0),
    },
    Machine: {"cpu": "a", "cores": 1, "memory_gib": 1.0},
    Body: {"shape": "sphere", "size_angstrom": 500.0, "material": "gold"},
    StageConfig: {"schedule": "2 er", "support_every": 1, "blur_voxels": 1.0},
    ExperimentSettings: {
        "simulate": SimulationConfig(
            species=(Species(shape="sphere", size_nm=50.0, material="gold"),)
        )
    },
}  # fmt: skip


def _modules():
    for name in _PACKAGES:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            yield importlib.import_module(found.name)


def _classes() -> list[type]:
    """All configurations of the four packages, but not those that tests make up."""
    list(_modules())
    found, waiting = [], [Settings]
    while waiting:
        made = waiting.pop().__subclasses__()
        waiting += made
        found += [one for one in made if one.__module__.split(".")[0] in _TOPS]
    return sorted(found, key=lambda one: (one.__module__, one.__name__))


_TOPS = {name.split(".")[0] for name in (*_PACKAGES, "benchmarks")}
CLASSES = _classes()
FIELDS = [
    pytest.param(cls, name, hint, id=f"{cls.__name__}.{name}")
    for cls in CLASSES
    for name, hint in get_type_hints(cls, include_extras=True).items()
    if name in {field.name for field in dataclasses.fields(cls)}
    and settings.leaves(hint) & {int, float}
]


def _with(cls: type, name: str, hint: Any, value: Any) -> None:
    whole = (value,) * 3 if tuple in _origins(hint) else value
    cls(**{**_NEEDED.get(cls, {}), name: whole})


def _origins(hint: Any) -> set[Any]:
    from typing import get_args, get_origin

    return {get_origin(hint)} | {o for one in get_args(hint) for o in _origins(one)}


def test_the_known_configurations_are_among_them():
    names = {one.__name__ for one in CLASSES}
    assert {"TrainConfig", "EmcConfig", "Level", "Beam", "Hits", "Task"} <= names
    assert len(FIELDS) > 150


def test_what_a_configuration_is_made_of_is_checked_too():
    """A new table that is no Settings would be read without its ranges being looked at."""
    for cls in CLASSES:
        assert dataclasses.is_dataclass(cls), cls
        assert cls.__post_init__ is Settings.__post_init__, f"{cls}: that is check()"
        for hint in get_type_hints(cls).values():
            for leaf in settings.leaves(hint):
                assert not dataclasses.is_dataclass(leaf) or issubclass(leaf, Settings), leaf


def test_classes_by_the_name_of_a_configuration_are_configurations():
    for module in _modules():
        for name, one in vars(module).items():
            if isinstance(one, type) and name.endswith("Config") and dataclasses.is_dataclass(one):
                assert issubclass(one, Settings), (name, one)


@pytest.mark.parametrize(("cls", "name", "hint"), FIELDS)
def test_every_number_has_a_range(cls, name, hint):
    stated = [rule for rule in settings.rules(hint) if isinstance(rule, Range)]
    assert stated, f"{cls.__name__}.{name}: declare what it may be, as Annotated[…, Range(…)]"
    if int in settings.leaves(hint):
        assert all(rule.most is not None or rule.below is not None for rule in stated)


@pytest.mark.parametrize(("cls", "name", "hint"), FIELDS)
def test_no_number_may_be_outside_its_range(cls, name, hint):
    """NaN, infinity (where it is not said to be fine), and beyond either end of the range."""
    (rule,) = {rule for rule in settings.rules(hint) if isinstance(rule, Range)}
    wrong: list[Any] = [math.nan, "1", True]
    if rule.most != math.inf:
        wrong += [math.inf, -math.inf]
    for end, step in ((rule.least, -1), (rule.above, 0), (rule.below, 0), (rule.most, 1)):
        if end is not None and math.isfinite(end):
            wrong.append(end + step)
    if rule.most is not None and math.isfinite(rule.most):
        wrong.append(_HUGE)
    for value in wrong:
        # Of modules whose shapes are checked under pytest, the type checker may be the first.
        with pytest.raises((ConfigError, TypeCheckError)) as caught:
            _with(cls, name, hint, value)
        said = str(caught.value)
        assert isinstance(caught.value, TypeCheckError) or f"{name} is {value!r}; expected" in said


def test_texts_are_of_those_that_are_known():
    texts = 0
    for cls in CLASSES:
        for name, hint in get_type_hints(cls, include_extras=True).items():
            if any(isinstance(rule, OneOf) for rule in settings.rules(hint)):
                texts += 1
                with pytest.raises(ConfigError, match=f"{name} is 'steam'; expected one of"):
                    _with(cls, name, hint, "steam")
    assert texts >= 8


def test_a_message_names_the_whole_way_to_the_setting():
    with pytest.raises(ConfigError, match=r"^start\.reach is nan; expected above 0 and at most"):
        StartConfig(reach=math.nan)
    given = {"start": {"reach": -1}}
    with pytest.raises(ConfigError, match=r"^start\.reach is -1\.0; expected above 0"):
        config.from_mapping(TrainConfig, given)
    with pytest.raises(ConfigError, match=r"^xrai\.start\.reach is -1\.0"):
        config.from_mapping(Task, {"name": "", "summary": "", "simulate": {}, "xrai": given})
    level = {"reach": math.nan, "rotations": 5, "iterations": 1}
    with pytest.raises(ConfigError, match=r"^levels\[\]\.reach is nan"):
        config.from_mapping(EmcConfig, {"levels": [level]})
    with pytest.raises(ConfigError, match=r"^seed is -1; expected 0 to"):
        config.given_or_default(EmcConfig, None, {"seed": -1})


def test_a_whole_number_is_not_a_fraction():
    with pytest.raises(ConfigError, match=r"start\.batch is 1\.5; expected a whole number"):
        StartConfig(batch=1.5)  # type: ignore[arg-type]


def test_ranges_say_what_they_are():
    said = {
        "0 to 1": Range(least=0, most=1),
        "above 0 and below 1": Range(above=0, below=1),
        "at least 2": Range(least=2),
        "above 0 and at most 1,000": Range(above=0, most=1000),
        "above 0": Range(above=0, most=math.inf),
        "a finite number": Range(),
    }
    assert {str(one): one for one in said.values()} == said
    assert math.inf in Range(above=0, most=math.inf)
    assert math.inf not in Range(above=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nested(Settings):
    """Numbers in tuples, alone and optional."""

    many: tuple[Annotated[int, Range(least=0)], ...] = ()
    perhaps: Annotated[float, Range(above=0)] | None = None


def test_every_number_of_an_array_counts_and_what_is_unset_does_not():
    assert Nested(many=(1, 2)).perhaps is None
    with pytest.raises(ConfigError, match="many is -2; expected at least 0"):
        Nested(many=(1, -2))
    with pytest.raises(ConfigError, match=r"perhaps is 0\.0; expected above 0"):
        Nested(perhaps=0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"start": StartConfig(reach=3.5)},
            r"search\.reach is 6.*ends at 4\.3.*start\.reach = 3\.5",
        ),
        ({"search": SearchConfig(reach=7.0)}, r"search\.reach is 7.*ends at 6\.3"),
        ({"search": SearchConfig(hypotheses=9, rotations=5)}, r"hypotheses is 9.*5 rotations"),
        (
            {"search": SearchConfig(hypotheses=9, wide_rotations=8)},
            r"hypotheses is 9.*8 rotations",
        ),
        (
            {"symmetry": "C3", "decoder": DecoderConfig(symmetry="C2")},
            r"decoder\.symmetry is C2 and symmetry is C3",
        ),
        (
            {"symmetry": "C3", "mode": "paper"},
            r'symmetry is C3, decoder\.symmetry is C1 and mode is "paper"',
        ),
        (
            {"single_pass": True, "mode": "paper"},
            r'single_pass is true, but mode is "paper", which reads every pattern 2 times',
        ),
    ],
)
def test_settings_that_exclude_each_other_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**given)


def test_emc_needs_orientations_in_an_asymmetric_unit():
    level = Level(reach=3.0, rotations=30, iterations=1)
    with pytest.raises(ConfigError, match=r"rotations is 30; expected more, as symmetry is I"):
        EmcConfig(symmetry="I", levels=(level,))
    enough = dataclasses.replace(level, rotations=3000)
    assert EmcConfig(symmetry="I", levels=(enough,)).levels == (enough,)
    with pytest.raises(ConfigError, match="halves is True; expected false with 1 of levels"):
        EmcConfig(halves=True, levels=(level,))


def test_a_support_has_one_size():
    with pytest.raises(ConfigError, match=r"threshold is 0\.1 and volume_angstrom3 is 5000"):
        PhasingConfig(threshold=0.1, volume_angstrom3=5000.0)
