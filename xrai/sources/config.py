"""Settings of the stream of patterns."""

from dataclasses import dataclass

from xraisim.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """How patterns are read ahead and waited for.

    ``read_ahead_blocks``: blocks that a thread reads before they are asked for; 0 reads each when
    it is. ``idle_timeout_s``: a file that is being written, or a process that pushes patterns,
    counts as having ended after so long without a new pattern. ``poll_s``: how often a file that
    is being written is looked at.
    """

    read_ahead_blocks: int = 2
    idle_timeout_s: float = 300.0
    poll_s: float = 0.2

    def __post_init__(self) -> None:
        if self.read_ahead_blocks < 0:
            raise ConfigError(
                f"read_ahead_blocks is {self.read_ahead_blocks}; expected 0 (read when asked) or "
                "more"
            )
        for name in ("idle_timeout_s", "poll_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected seconds above 0")
