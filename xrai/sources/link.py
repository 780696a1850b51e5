"""The socket between two processes, and whether the other end is there."""

import ipaddress
import re
from collections.abc import Sequence
from types import TracebackType

import zmq
from zmq.utils.monitor import recv_monitor_message

from xrai.sources.seal import VARIABLE, opened, sealed
from xraisim.core.errors import ConfigError, UserError

_HIGH_WATER = 4  # messages that wait on either side of the socket; then the pusher has to
_LARGEST_BYTES = 2**30
_BEGINS = zmq.EVENT_ACCEPTED | zmq.EVENT_CONNECTED
_EVENTS = _BEGINS | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
_GONE = -1
_ADDRESS = re.compile(r"tcp://(?P<host>\[[^\]]+\]|[^:/]+):(?P<port>\d+|\*)")


class Link:
    """One end of a PUSH and PULL pair of ZeroMQ; a context manager.

    ``kind`` is ``zmq.PULL``, which binds ``address``, or ``zmq.PUSH``, which connects to it; as
    tcp://HOST:PORT. A port * is a free one. ``address``: where it is. With a ``token`` messages are
    sealed (:mod:`xrai.sources.seal`); without, only addresses of this machine's loopback are taken.
    Raises :class:`ConfigError` for an address that cannot be used.
    """

    def __init__(self, kind: int, address: str, *, token: bytes | None = None) -> None:
        check_address(address, token)
        self._token = token
        self._context = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.set_hwm(_HIGH_WATER)
        self.socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_BYTES)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is sent into a queue for nobody
        self.socket.setsockopt(zmq.IPV6, int("[" in address))
        self._monitor = self.socket.get_monitor_socket(_EVENTS)
        self._met = self._came = self._accepted = 0
        self._open: set[int] = set()
        self._peer: int | None = None
        try:
            (self.socket.bind if kind == zmq.PULL else self.socket.connect)(address)
        except zmq.ZMQError as error:
            self.close(linger_ms=0)
            raise UserError(f"{address}: {error}; choose another port or address") from error
        self.address = address
        if kind == zmq.PULL:
            self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def __enter__(self) -> "Link":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # After an error nobody needs what still waits; else it goes out, however long that takes.
        self.close(linger_ms=-1 if kind is None else 0)

    @property
    def met(self) -> bool:
        """Whether another process has been at the other end."""
        self._look()
        return self._met > 0

    @property
    def left(self) -> bool:
        """Whether the process at the other end has gone: who listened, or the pusher accepted."""
        self._look()
        if self.socket.type == zmq.PULL:
            return self._peer is not None and self._peer not in self._open
        return self._met > 0 and not self._open

    def send(self, frames: Sequence[bytes]) -> None:
        """Send a message, sealed if there is a token."""
        self.socket.send_multipart(sealed(frames, self._token))

    def receive(self) -> tuple[list[bytes], int]:
        """Return a message and the number of the connection that it came by.

        Raises :class:`FormatError` for a message that was not sealed by the token.
        """
        frames = self.socket.recv_multipart(copy=False)
        content = opened([frame.bytes for frame in frames], self._token)
        return content, int(frames[0].get(zmq.SRCFD))

    def accept(self, connection: int) -> None:
        """Take who is at the other end of a connection for the pusher."""
        if connection != self._peer:
            self._peer, self._accepted = connection, self._accepted + 1

    @property
    def strangers(self) -> int:
        """How many connections came, speaking ZeroMQ or not, that were not accepted."""
        self._look()
        return max(self._came - self._accepted, 0)

    def ready(self, timeout_s: float) -> bool:
        """Wait until a message can be received, or sent; return whether one can."""
        event = zmq.POLLIN if self.socket.type == zmq.PULL else zmq.POLLOUT
        return bool(self.socket.poll(round(1000 * timeout_s), event))

    def close(self, *, linger_ms: int) -> None:
        """Close the socket; wait for ``linger_ms`` (−1: for ever) until all was sent."""
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=linger_ms)
        self._context.term()

    def _look(self) -> None:
        while self._monitor.poll(0):
            message = recv_monitor_message(self._monitor)
            event, connection = message["event"], message["value"]
            if event & _BEGINS:
                self._came += 1
                self._open.add(connection)
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._met += 1
            else:
                self._open.discard(connection)
                if connection == self._peer:
                    self._peer = _GONE


def check_address(address: str, token: bytes | None) -> None:
    """Raise :class:`ConfigError` unless ``address`` is one, and of this machine if it must be."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ConfigError(f"found the address {address!r}; expected tcp://127.0.0.1:PORT")
    if token is None and not _is_loopback(match["host"].strip("[]")):
        raise ConfigError(
            f"{address} can be reached from other machines, and anybody there could push patterns; "
            f"give both ends a token (--token-file FILE, or ${VARIABLE}), or use "
            "tcp://127.0.0.1:PORT"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or *
        return False
