"""Settings of the encoder and of its teacher."""

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
    the root of the steps beyond ``hold``; ``steps`` is what it learns at first.
    """

    reach: float = 8.0
    rings: int = 16
    azimuths: int = 32
    directions: int = 400
    channels: int = 64
    blocks: int = 1
    heads: int = 8
    steps: int = 250
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
            "steps": self.steps >= 1,
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
