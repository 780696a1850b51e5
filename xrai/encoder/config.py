"""Settings of the encoders and of how they learn."""

from dataclasses import dataclass

from xraisim.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The amortised pose network, and how it learns.

    ``reach``: s·D to which it looks at a pattern; ``rings`` × ``azimuths``: cells of half a turn of
    the pattern; ``directions``: view directions that it tells apart; ``channels`` and ``blocks``:
    width and depth; ``heads``: hypotheses that it hands on.

    A step learns ``batch`` patterns, a fraction ``synthetic`` of them drawn from the current volume
    at known poses, the rest measured ones with their searched poses. The learning rate falls with
    the root of the steps beyond ``hold``. The first lesson has ``steps``, those after further
    rounds ``steps_per_round``.
    """

    reach: float = 8.0
    rings: int = 16
    azimuths: int = 32
    directions: int = 400
    channels: int = 64
    blocks: int = 1
    heads: int = 8
    steps: int = 100
    steps_per_round: int = 10
    batch: int = 192
    synthetic: float = 0.75
    learning_rate: float = 6e-3
    hold: int = 100

    def __post_init__(self) -> None:
        checks = {
            "reach": self.reach > 0,
            "rings": self.rings >= 1,
            "azimuths": self.azimuths >= 4,
            "directions": self.directions >= 60,
            "channels": self.channels >= 1,
            "blocks": self.blocks >= 0,
            "heads": self.heads >= 1,
            "steps": self.steps >= 0,
            "steps_per_round": self.steps_per_round >= 0,
            "batch": self.batch >= 1,
            "synthetic": 0 <= self.synthetic <= 1,
            "learning_rate": self.learning_rate > 0,
            "hold": self.hold >= 1,
        }
        for name, fine in checks.items():
            if not fine:
                raise ConfigError(
                    f"encoder.{name} = {getattr(self, name)} is out of range; "
                    "`xrai train --show-config` prints values that work"
                )


@dataclass(frozen=True, kw_only=True)
class EndToEndConfig:
    """Mode ``paper``: encoder and decoder trained together, without a search.

    ``reach``: s·D of the pixels used; ``batch``: patterns per step; ``epochs``: passes.

    ``channels``: of the encoder's first layer.
    """

    reach: float = 6.0
    batch: int = 128
    epochs: int = 1
    channels: int = 16
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("reach", "batch", "epochs", "channels", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"end_to_end.{name} = {getattr(self, name)} must be positive")
