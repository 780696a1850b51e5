"""Push patterns to a reconstruction in another process, as a beamline would."""

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import zmq

from xrai.sources.link import Link
from xrai.sources.live import LiveSource, cut
from xrai.sources.messages import INFO, End, Experiment, Message, Patterns, encode
from xrai.sources.stream import PatternStream
from xraisim.core.errors import UserError
from xraisim.core.settings import Count, NotNegative, Range, Settings, Whole
from xraisim.core.types import PatternSource, Photons, Pixels

_LOOK_S = 0.2
_BLOCK = 2048


@dataclass(frozen=True, kw_only=True)
class PushConfig(Settings):
    """How patterns are pushed.

    ``rate_per_s``: patterns per second at most, infinity as fast as they are taken; ``message``:
    patterns per message at most; ``first``: the number of the first pattern pushed;
    ``connect_timeout_s``: how long to wait for somebody who listens; ``token``: what they expect
    messages to be sealed with.
    """

    rate_per_s: Annotated[float, Range(above=0, most=math.inf)] = math.inf
    message: Count = 256
    first: Whole = 0
    connect_timeout_s: NotNegative = 60.0
    token: bytes | None = field(default=None, repr=False)

    @property
    def per_message(self) -> int:
        """Patterns per message: ten messages a second where the rate is low."""
        return int(min(self.message, max(1.0, self.rate_per_s / 10)))


def push(
    patterns: Path | str | PatternSource | LiveSource,
    to: str,
    config: PushConfig,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Push patterns to ``to`` (tcp://127.0.0.1:PORT) until they end; return how many.

    Waits while the other side is busy. Raises :class:`UserError` if nobody listens, or no longer.
    """
    with (
        PatternStream(patterns, _BLOCK, 0.0) as stream,
        Link(zmq.PUSH, to, token=config.token) as link,
    ):
        pusher = _Pusher(link, config)
        pusher.connect()
        pusher.send(experiment_of(stream.pixels, stream.info))
        done = config.first
        for rows, ranked in stream.blocks(config.first):
            raw = with_flat_indices(ranked, stream.pixels)
            for start in range(0, len(raw), config.per_message):
                part = cut(raw, start, min(start + config.per_message, len(raw)))
                pusher.pace(rows.start + start - config.first)
                pusher.send(Patterns(first=rows.start + start, photons=part))
                if progress is not None:
                    progress(len(part))
            done = rows.stop
        pusher.send(End(patterns=done))
    return done - config.first


def experiment_of(pixels: Pixels, info: dict[str, Any]) -> Experiment:
    """Return the experiment as a message; pixels that are not used are masked, and zero."""
    size = math.prod(pixels.shape)
    index = pixels.index.numpy()
    flat = {name: np.zeros(size, np.float32) for name in ("gain", "background")}
    for name, values in flat.items():
        values[index] = getattr(pixels, name).numpy()
    s, mask = np.zeros((size, 3), np.float32), np.ones(size, np.uint8)
    s[index], mask[index] = pixels.s.numpy(), 0
    known = {key: info[key] for key in (*INFO, "provenance")}
    return Experiment(s=s, mask=mask, shape=pixels.shape, info=known, **flat)


def with_flat_indices(ranked: Photons, pixels: Pixels) -> Photons:
    """Return patterns with indices of the flattened detector in place of numbers into pixels."""
    pixel = pixels.index.numpy()[ranked.pixel]
    return Photons(offsets=ranked.offsets, pixel=pixel, count=ranked.count)


class _Pusher:
    """Sends messages, at a rate, while somebody takes them."""

    def __init__(self, link: Link, config: PushConfig) -> None:
        self._link, self._config, self._run = link, config, uuid.uuid4().hex
        self._began = time.monotonic()

    def connect(self) -> None:
        """Wait until somebody listens."""
        until = time.monotonic() + self._config.connect_timeout_s
        while not self._link.met:
            if time.monotonic() >= until:
                raise UserError(
                    f"nobody listens at {self._link.address} after "
                    f"{self._config.connect_timeout_s:g} s; start xrai train --listen first"
                )
            self._link.ready(_LOOK_S)
        self._began = time.monotonic()

    def pace(self, pushed: int) -> None:
        """Wait until it is time for the pattern after so many."""
        due = self._began + pushed / self._config.rate_per_s
        time.sleep(max(0.0, due - time.monotonic()))

    def send(self, message: Message) -> None:
        """Send, as soon as there is room."""
        frames = encode(message, self._run)
        while True:
            if self._link.left:
                raise UserError(
                    f"who listened at {self._link.address} has gone; what was taken there is not "
                    "known here"
                )
            if self._link.ready(_LOOK_S):
                self._link.send(frames)
                return
