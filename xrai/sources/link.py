"""The socket between two processes, and whether the other end is there."""

import ipaddress
import re
from types import TracebackType

import zmq
from zmq.utils.monitor import recv_monitor_message

from xraisim.core.errors import ConfigError, UserError

_HIGH_WATER = 4  # messages that wait on either side of the socket; then the pusher has to
_LARGEST_BYTES = 2**30
#: who connects and does not speak ZeroMQ
_STRANGERS = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_ADDRESS = re.compile(r"tcp://(?P<host>\[[^\]]+\]|[^:/]+):(?P<port>\d+|\*)")


class Link:
    """One end of a PUSH and PULL pair of ZeroMQ; a context manager.

    ``kind`` is ``zmq.PULL``, which binds ``address``, or ``zmq.PUSH``, which connects to it; as
    tcp://HOST:PORT. A port * is a free one. ``address``: where it is. Only addresses of this
    machine's loopback are taken unless ``allow_remote``: there is no authentication.
    Raises :class:`ConfigError` for an address that cannot be used.
    """

    def __init__(self, kind: int, address: str, *, allow_remote: bool = False) -> None:
        check_address(address, allow_remote)
        self._context = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.set_hwm(_HIGH_WATER)
        self.socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_BYTES)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is sent into a queue for nobody
        self.socket.setsockopt(zmq.IPV6, int("[" in address))
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | _STRANGERS
        self._monitor = self.socket.get_monitor_socket(events)
        self._met = self._parted = self._strangers = 0
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
        """Whether every process that was at the other end has gone."""
        self._look()
        return 0 < self._met <= self._parted

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
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._met += 1
            elif event & _STRANGERS:  # and then it disconnects
                self._strangers += 1
            elif self._strangers:
                self._strangers -= 1
            else:
                self._parted += 1


def check_address(address: str, allow_remote: bool) -> None:
    """Raise :class:`ConfigError` unless ``address`` is one, and of this machine if it must be."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ConfigError(f"found the address {address!r}; expected tcp://127.0.0.1:PORT")
    if not (allow_remote or _is_loopback(match["host"].strip("[]"))):
        raise ConfigError(
            f"{address} can be reached from other machines, and anybody there could push or read "
            "patterns; use tcp://127.0.0.1:PORT, or say --allow-remote on a network you trust"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or *
        return False
