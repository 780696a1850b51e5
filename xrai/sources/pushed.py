"""Patterns that another process pushes over a socket, as a beamline would."""

import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import zmq

from xrai.sources.config import SourceConfig
from xrai.sources.link import Link
from xrai.sources.live import cut
from xrai.sources.messages import End, Experiment, Message, Patterns, decode
from xraisim import console
from xraisim.core.errors import FormatError, UserError
from xraisim.core.types import Photons, Pixels
from xraisim.files.pixel_order import PixelOrder

_FAREWELL_S = 1.0  # what a pusher sent before it left has come by then
_LOOK_S = 0.1
_MOST_REASONS, _OTHERS = 20, "for other reasons"  # a stranger chooses the words of some
_LONGEST_REASON = 200


class PushedPatterns:
    """Patterns of one pusher, in the order of their numbers, each held until it is forgotten.

    Messages are taken from the socket only as patterns are waited for; when its queue is full the
    pusher waits. Who sends the first experiment is the pusher. Messages of others, and what cannot
    be read, are dropped and counted (``dropped``). Raises :class:`FormatError` for a gap in the
    pusher's numbers or pixels that its detector has not. Ends when the pusher says so; or, with a
    ``warning``, when it is gone, or silent for ``idle_timeout_s``.
    """

    rereadable = False

    def __init__(self, link: Link, config: SourceConfig, first: int = 0) -> None:
        """Wait for the experiment; patterns are to begin with the number ``first``."""
        self._link, self._config = link, config
        self.path = Path(link.address.removeprefix("tcp://"))
        self.begins = self.n_patterns = first
        self.ended, self.warning = False, ""
        self._run, self._idle_s = "", 0.0
        self.dropped: Counter[str] = Counter()
        self._held: deque[tuple[int, Photons]] = deque()
        try:
            experiment = self._first_message()
        except BaseException:
            self.close()
            raise
        arrays = experiment.s, experiment.gain, experiment.background, experiment.mask
        self._order = PixelOrder.of(*arrays, experiment.shape)
        self.pixels: Pixels = self._order.pixels
        self.info: dict[str, Any] = experiment.info

    def wait(self, count: int, timeout_s: float) -> None:
        """Return once there are ``count`` patterns, none will come, or the time is over."""
        until = time.monotonic() + timeout_s
        while self.n_patterns < count and not self.ended:
            message = self._next()
            if message is not None:
                self._take(message)
            if time.monotonic() >= until:
                return

    def read(self, start: int, stop: int) -> Photons:
        """Return patterns ``start … stop − 1``; raises :class:`UserError` if they are gone."""
        begins = self._held[0][0] if self._held else self.n_patterns
        if start < begins:
            raise UserError(
                f"pattern {start:,} was pushed and read, and is not kept: what is pushed beyond "
                "memory_gib can be read once; allow more, or read the patterns from a file"
            )
        return Photons.joined(
            [
                cut(photons, max(start - first, 0), min(stop - first, len(photons)))
                for first, photons in self._held
                if start - first < len(photons) and stop > first
            ]
        )

    def forget(self, before: int) -> None:
        """Let go of messages all of whose patterns have smaller numbers."""
        while self._held and self._held[0][0] + len(self._held[0][1]) <= before:
            self._held.popleft()

    def close(self) -> None:
        """Close the socket, and say how many strangers came."""
        if self.dropped:
            total = sum(self.dropped.values())
            reasons = "; ".join(f"{count:,} × {why}" for why, count in self.dropped.most_common(5))
            console.say(f"dropped {total:,} messages at {self._link.address}: {reasons}")
        if self._link.strangers:
            console.say(
                f"{self._link.strangers:,} connections to {self._link.address} pushed nothing that "
                "was taken"
            )
        self._link.close(linger_ms=0)

    def _first_message(self) -> Experiment:
        while not self.ended:
            message = self._next()
            if isinstance(message, Experiment):
                return message
        raise UserError(
            f"no experiment came in at {self._link.address}: {self.warning}"
            + "".join(f"; {count:,} messages dropped: {why}" for why, count in self.dropped.items())
        )

    def _next(self) -> Message | None:
        """Return the pusher's next message; None if none comes for a moment, or they have ended."""
        began = time.monotonic()
        left = self._link.left  # asked first: what the pusher sent before that is still taken
        if self._link.ready(_LOOK_S):
            message = self._taken()
            if message is not None:
                self._idle_s = 0.0
                return message
        self._idle_s += time.monotonic() - began
        if left and self._idle_s > _FAREWELL_S:
            self._give_up("the process that pushed them is gone without saying that this was all")
        elif self._idle_s >= self._config.idle_timeout_s:
            self._give_up(f"nothing came for {self._config.idle_timeout_s:g} s")
        return None

    def _taken(self) -> Message | None:
        """Take a message off the socket; return it if it is the pusher's."""
        try:
            frames, connection = self._link.receive()
            run, message = decode(frames)
        except FormatError as error:
            self._drop(str(error))
            return None
        if not self._run and not isinstance(message, Experiment):
            self._drop("patterns before their experiment; start xrai push after this")
            return None
        self._run = self._run or run
        if run != self._run:
            self._drop("of a second process; push from one at a time")
            return None
        self._link.accept(connection)
        return message

    def _drop(self, reason: str) -> None:
        reason = reason[:_LONGEST_REASON]
        if reason not in self.dropped and len(self.dropped) < _MOST_REASONS:
            console.say(f"a message was dropped: {reason}")
        self.dropped[reason if len(self.dropped) < _MOST_REASONS else _OTHERS] += 1

    def _give_up(self, reason: str) -> None:
        self.ended, self.warning = True, reason

    def _take(self, message: Message) -> None:
        if isinstance(message, Experiment):
            raise FormatError("a second experiment came in; push one at a time")
        number = message.first if isinstance(message, Patterns) else message.patterns
        if number != self.n_patterns:
            raise FormatError(
                f"pattern {self.n_patterns:,} was due at {self._link.address}, {number:,} came: "
                f"messages were lost; push again from there (--first {self.n_patterns})"
            )
        if isinstance(message, End):
            self.ended = True
            return
        photons = message.photons
        if (
            photons.pixel.max(initial=0) >= len(self._order.rank)
            or photons.pixel.min(initial=0) < 0
        ):
            raise FormatError(
                f"patterns from {number:,} on have pixels that the detector of "
                f"{len(self._order.rank):,} has not; push the experiment that they belong to"
            )
        self._held.append((number, self._order.ranked(photons)))
        self.n_patterns += len(photons)


def listen(
    address: str, config: SourceConfig, *, first: int = 0, token: bytes | None = None
) -> PushedPatterns:
    """Wait at ``address`` (tcp://127.0.0.1:PORT) for patterns that another process pushes.

    ``first``: the number that they are to begin with. ``token``: what seals the pusher's messages.
    Raises the :class:`UserError` family.
    """
    link = Link(zmq.PULL, address, token=token)
    options = f" --first {first}" * (first > 0) + " --token-file FILE" * (token is not None)
    console.say(
        f"waiting for patterns at {link.address}: xrai push PATTERNS --to {link.address}{options}"
    )
    return PushedPatterns(link, config, first)
