import socket
import threading
import time

import pytest
import zmq

from xrai.sources.link import Link, check_address
from xraisim.core.errors import ConfigError, UserError

from .conftest import until


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
def test_loopback_is_allowed(host):
    check_address(f"tcp://{host}:5555", None)


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "192.168.0.3", "beamline", "[::]"])
def test_other_machines_are_allowed_only_with_a_token(host):
    with pytest.raises(ConfigError, match=r"can be reached from other machines.*--token-file"):
        check_address(f"tcp://{host}:5555", None)
    check_address(f"tcp://{host}:5555", b"a secret of many letters")


@pytest.mark.parametrize("address", ["127.0.0.1:5555", "tcp://127.0.0.1", "ipc:///tmp/x", ""])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match="expected tcp"):
        Link(zmq.PULL, address)


def test_a_taken_port_is_a_clear_error(door):
    with pytest.raises(UserError, match="choose another port"):
        Link(zmq.PULL, door.address)
    door.close(linger_ms=0)


def test_each_end_knows_of_the_other_but_not_of_strangers(door):
    port = int(door.address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
    time.sleep(0.1)
    assert not door.met
    other = Link(zmq.PUSH, door.address)
    until(lambda: door.met and other.met)
    other.send([b"it is me"])
    door.accept(door.receive()[1])
    for sent in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\xff" + bytes(8) + b"\x7f" + bytes(54)):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(sent)
    time.sleep(0.1)
    assert not door.left
    assert door.strangers == 4
    other.close(linger_ms=0)
    until(lambda: door.left)
    door.close(linger_ms=0)


def test_what_waits_goes_out_at_the_end_unless_nobody_takes_it(door):
    other = Link(zmq.PUSH, door.address)
    sent = 0
    while other.ready(1.0):
        other.socket.send(bytes(2**20))
        sent += 1
    leaving = threading.Thread(target=other.__exit__, args=(None, None, None))
    leaving.start()
    leaving.join(0.3)
    assert leaving.is_alive(), "something waits for the other end"
    for _ in range(sent):
        assert len(door.socket.recv()) == 2**20
    leaving.join(20)
    assert not leaving.is_alive()
    other = Link(zmq.PUSH, door.address)
    while other.ready(1.0):
        other.socket.send(bytes(2**20))
    leaving = threading.Thread(target=other.__exit__, args=(None, None, None))
    leaving.start()
    door.close(linger_ms=0)
    leaving.join(20)
    assert not leaving.is_alive(), "the other end is gone"
