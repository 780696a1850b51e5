"""Settings of an experiment's stages, read from one TOML file."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from baselines.classify import ClassifyConfig
from baselines.phasing.config import PhasingConfig
from xrai.config import TrainConfig
from xraisim.core import config
from xraisim.core.errors import ConfigError
from xraisim.core.settings import Positive, Settings
from xraisim.sample.shapes import Body
from xraisim.simulation import config as simulation
from xraisim.simulation.config import SimulationConfig


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings(Settings):
    """What is simulated, and how it is selected, reconstructed and phased.

    ``brightest``: patterns above so many median fluences are left out. Raises
    :class:`ConfigError` unless the sample is one homogeneous body.
    """

    simulate: SimulationConfig
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)
    brightest: Positive = 1.5
    xrai: TrainConfig = field(default_factory=TrainConfig)
    phase: PhasingConfig = field(default_factory=PhasingConfig)

    def check(self) -> None:
        """Refuse any other sample."""
        found = [one.label for one in self.simulate.sample]
        if len(found) != 1 or not self.simulate.sample[0].shape:
            raise ConfigError(
                f"the sample is {', '.join(found)}; expected one [[species]] with a shape"
            )

    @property
    def body(self) -> Body:
        """The particle."""
        return self.simulate.sample[0].body()

    def seeded(self, seed: int) -> "ExperimentSettings":
        """Return these settings with one seed for every stage."""
        return dataclasses.replace(
            self,
            simulate=dataclasses.replace(self.simulate, seed=seed),
            classify=dataclasses.replace(self.classify, seed=seed),
            xrai=dataclasses.replace(self.xrai, seed=seed),
        )

    def of(self, patterns: int) -> "ExperimentSettings":
        """Return these settings with another number of patterns."""
        return dataclasses.replace(
            self, simulate=dataclasses.replace(self.simulate, patterns=patterns)
        )


def load(path: Path) -> ExperimentSettings:
    """Read settings; ``[simulate]`` starts from its instrument's preset, as for ``make``."""
    mapping = config.read_toml(path)
    made = simulation.from_mapping(mapping.get("simulate", {}))
    whole = mapping | {"simulate": config.to_mapping(made)}
    return config.from_mapping(ExperimentSettings, whole)
