"""Settings of the stream of patterns."""

from dataclasses import dataclass
from typing import Annotated

from xraisim.core.settings import Positive, Range, Settings


@dataclass(frozen=True, kw_only=True)
class SourceConfig(Settings, table="source"):
    """How patterns are read ahead and waited for.

    ``read_ahead_blocks``: blocks that a thread reads before they are asked for; 0 reads each when
    it is. ``idle_timeout_s``: a file that is being written, or a process that pushes patterns,
    counts as having ended after so long without a new pattern. ``poll_s``: how often a file that
    is being written is looked at.
    """

    read_ahead_blocks: Annotated[int, Range(least=0, most=10**4)] = 2
    idle_timeout_s: Positive = 300.0
    poll_s: Positive = 0.2
