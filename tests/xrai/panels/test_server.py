"""The page served while a run goes on."""

import http.client
import json
import socket
import threading
from urllib.parse import urlsplit

import pytest

from xrai.panels import METHODS
from xraisim.core.errors import ConfigError, UserError
from xraisim.report import server


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Draw as often as asked."""
    monkeypatch.setattr("xraisim.report.server._LEAST_S", 0.0)
    monkeypatch.setattr("xraisim.report.server._MOST_SHARE", 1e9)


def live(run, port):
    return server.live(run, METHODS, port)


def ask(address: str, path: str = "/", method: str = "GET", **headers: str):
    """Return status, headers and content; the path goes as it is, with its dots."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def test_the_page_follows_the_run(tmp_path, begin, add_round):
    run = tmp_path / "run"
    with live(run, 0) as address:
        assert address.startswith("http://127.0.0.1:")
        assert "is not the directory of a run" in ask(address)[2], "not begun"
        assert json.loads(ask(address, "/metrics.json")[2]) == []
        monitor = begin(run)
        assert "Random starts" in ask(address)[2]
        add_round(monitor, 1)
        status, headers, page = ask(address)
        assert status == 200
        assert "Agreement of half-sets" in page
        assert "const REFRESH_S" in page
        events = json.loads(ask(address, "/metrics.json")[2])
        assert [event["event"] for event in events] == ["start", "start", "round"]
        assert ask(address, If_None_Match=headers["ETag"])[0] == 304


def test_nothing_is_drawn_while_nothing_changes(begun_run, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "xraisim.report.server.page_of", lambda *_, **__: drawn.append(1) or f"page {len(drawn)}"
    )
    with live(begun_run, 0) as address:
        assert [ask(address)[2] for _ in range(3)] == ["page 1"] * 3
        (begun_run / "config.toml").write_text("seed = 10")
        monkeypatch.setattr("xraisim.report.server._LEAST_S", 1e6)
        assert ask(address)[2] == "page 2"
        (begun_run / "config.toml").write_text("seed = 1")
        assert ask(address)[2] == "page 2", "not that soon again"


def test_a_file_that_is_just_being_written_leaves_the_last_page(begun_run):
    with live(begun_run, 0) as address:
        before = ask(address)[2]
        assert "Random starts" in before
        (begun_run / "poses.h5").write_bytes(b"not yet HDF5")
        assert ask(address)[2] == before


def test_only_two_names_and_only_reading(begun_run):
    with live(begun_run, 0) as address:
        for path in ("/../begun/config.toml", "/config.toml", "/%2e%2e/x", "/..", "x"):
            status, _, text = ask(address, path)
            assert status == 404
            assert "seed" not in text
        status, headers, text = ask(address, "/metrics.json", "HEAD")
        assert (status, text) == (200, "")
        assert int(headers["Content-Length"]) > 0
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert ask(address, method=method)[0] == 501


def test_other_names_for_this_machine_are_refused(begun_run):
    with live(begun_run, 0) as address:
        port = urlsplit(address).port
        assert ask(address, "/metrics.json", Host=f"localhost:{port}")[0] == 200
        assert ask(address, "/metrics.json", Host=f"elsewhere.example:{port}")[0] == 403


@pytest.mark.parametrize(
    "host", ["[", "[::1", "]", "[x]:1", "127.0.0.1:x:[", "", "\u2100", "a[b]c", "ℼ.example", "@["]
)
def test_a_host_that_is_none_is_answered(begun_run, host, capfd):
    with live(begun_run, 0) as address:
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), timeout=60) as link:
            link.sendall(b"GET /metrics.json HTTP/1.0\r\nHost: " + host.encode() + b"\r\n\r\n")
            answer = link.recv(65536)
        assert answer.split()[1] in (b"200", b"403", b"400")
        assert ask(address, "/metrics.json")[0] == 200, "it goes on"
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        (" HTTP/9.9", b""), (" HTTP/x", b""), ("", b""), (" HTTP/1.1", b"A: b\r\n" * 200),
        (" HTTP/1.1", b"Host" + b"x" * 70_000 + b"\r\n"), ("?" + "x" * 70_000, b""),
        (" HTTP/1.1", b"If-None-Match: \xff\r\n"), (" HTTP/1.1", b": \r\n"),
        (" HTTP/1.1", b"Content-Length: -1\r\nHost: localhost\r\n"), ("//[ HTTP/1.1", b""),
        ("\0\t\r \n", b"\xff"),
    ],
)  # fmt: skip
def test_malformed_requests_are_answered_or_dropped(begun_run, version, headers, capfd):
    with live(begun_run, 0) as address:
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), timeout=60) as link:
            link.sendall(f"GET /metrics.json{version}\r\n".encode() + headers + b"\r\n")
            link.shutdown(socket.SHUT_WR)
            link.recv(65536)
        assert ask(address, "/metrics.json")[0] == 200, "it goes on"
    assert "Traceback" not in capfd.readouterr().err


def test_damaged_metrics_are_said_to_be_so(begun_run):
    with live(begun_run, 0) as address:
        with (begun_run / "metrics.jsonl").open("a") as file:
            file.write("nd\n{]\n")
        status, _, text = ask(address, "/metrics.json")
        assert status == 503
        assert "not a readable JSON object" in text


def test_it_ends_with_the_context_whatever_happens(begun_run):
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="the run fails"), live(begun_run, 0) as address:
        raise RuntimeError("the run fails")
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        ask(address)


def test_a_taken_port_is_named(begun_run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=rf"port {port} .*choose another"),
            live(begun_run, port),
        ):
            pass


def test_a_port_out_of_range_is_refused(begun_run):
    with pytest.raises(ConfigError, match="expected 1 to 65535"), live(begun_run, 70_000):
        pass
