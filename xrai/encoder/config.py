"""Settings of the encoders and of how they learn."""

from dataclasses import dataclass
from typing import Annotated

from xraisim.core.settings import Count, Range, Settings, Share, Whole


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(Settings, table="encoder"):
    """The amortised pose network, and how it learns.

    ``reach``: s·D to which it looks at a pattern; ``rings`` × ``azimuths``: cells of half a turn of
    the pattern; ``directions``: view directions that it tells apart; ``channels`` and ``blocks``:
    width and depth; ``heads``: hypotheses that it hands on.

    A step learns ``batch`` patterns, a fraction ``synthetic`` of them drawn from the current volume
    at known poses, the rest measured ones with their searched poses. The learning rate falls with
    the root of the steps beyond ``hold``. It takes ``steps`` first, ``steps_per_round`` after
    further rounds of new patterns, and ``steps`` again when the volume is done.
    """

    reach: Annotated[float, Range(above=0, most=200)] = 8.0
    rings: Annotated[int, Range(least=1, most=1024)] = 16
    azimuths: Annotated[int, Range(least=4, most=4096)] = 32
    directions: Annotated[int, Range(least=60, most=10**5)] = 400
    channels: Annotated[int, Range(least=1, most=4096)] = 64
    blocks: Annotated[int, Range(least=0, most=100)] = 1
    heads: Annotated[int, Range(least=1, most=32)] = 8
    steps: Whole = 100
    steps_per_round: Whole = 10
    batch: Annotated[int, Range(least=1, most=10**6)] = 192
    synthetic: Share = 0.75
    learning_rate: Annotated[float, Range(above=0, most=1)] = 6e-3
    hold: Count = 100


@dataclass(frozen=True, kw_only=True)
class EndToEndConfig(Settings, table="end_to_end"):
    """Mode ``paper``: encoder and decoder trained together, without a search.

    ``reach``: s·D of the pixels used, from ``first_reach`` on (0: all at once), growing through the
    first half of the presentations; ``batch``: patterns per step; ``epochs``: passes; ``channels``:
    of the encoder's first layer; ``learning_rate``: the encoder's, beside
    ``decoder.learning_rate``. Both fall to zero along a cosine. ``restarts``: so many pairs of
    networks learn from ``restart_patterns`` each, and the likeliest goes on.
    """

    reach: Annotated[float, Range(above=0, most=200)] = 6.0
    first_reach: Annotated[float, Range(least=0, most=200)] = 0.0
    batch: Annotated[int, Range(least=1, most=10**6)] = 128
    epochs: Count = 1
    channels: Annotated[int, Range(least=1, most=4096)] = 16
    learning_rate: Annotated[float, Range(above=0, most=1)] = 1e-3
    restarts: Annotated[int, Range(least=1, most=1000)] = 1
    restart_patterns: Count = 50_000
