"""The page about a run served while it goes on, and its metrics as JSON: standard library only."""

import hashlib
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from markupsafe import escape

from xraisim.core.errors import ConfigError, UserError
from xraisim.core.json_text import to_json
from xraisim.files.events import METRICS, read_events
from xraisim.report.page import MethodPanels, page_of, read

DEFAULT_PORT = 8765
LOOPBACK = "127.0.0.1"
_REFRESH_S = 5.0  # a browser asks so often
_LEAST_S = 3.0  # between two drawings
_MOST_SHARE = 0.1  # of one core's time may go into drawing beside a run
_WATCHED = (
    "config.toml", "metrics.jsonl", "checkpoint.pt", "poses.h5", "intensity.h5", "half_1.h5",
    "half_2.h5", "phasing/density.mrc", "result.json",
)  # fmt: skip
_EVERYWHERE = {"0.0.0.0", ""}
_LOOPBACK_NAMES = {"127.0.0.1", "localhost", "::1"}
_WAITING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<title>X-RAI</title></head><body><p>{reason}</p><p>This page asks again.</p></body></html>
"""


@contextmanager
def live(
    run_directory: Path,
    methods: Mapping[str, MethodPanels],
    port: int = DEFAULT_PORT,
    host: str = LOOPBACK,
    *,
    patterns: Path | None = None,
    density: Path | None = None,
) -> Iterator[str]:
    """Serve the page about a run, begun or not, as long as the context lasts; yields its address.

    ``port`` 0 takes any free one. Nobody outside this machine sees it unless ``host`` is another
    address than loopback. Raises :class:`UserError` where the port is taken or the address is none
    of this machine's. Drawing takes at most a tenth of one core, and nothing while nobody
    looks; patterns are compared with predictions once the run has finished.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(
            f"port {port} is out of range; expected 1 to 65535, or 0 for any free one"
        )
    page = _Page(run_directory, methods, patterns, density)
    try:
        server = _Server((host, port), page)
    except OSError as error:
        raise UserError(
            f"cannot serve on {host}, port {port} ({error.strerror or error}); choose another "
            "port, or 0 for any free one"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="live report", daemon=True)
    thread.start()
    try:
        name = socket.gethostname() if host in _EVERYWHERE else host
        yield f"http://{name}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Page:
    """The page as of late: drawn again, on request, when the run's files have changed."""

    def __init__(
        self,
        directory: Path,
        methods: Mapping[str, MethodPanels],
        patterns: Path | None,
        density: Path | None,
    ) -> None:
        self.directory = directory
        self._methods = methods
        self._given = density, patterns
        self._lock = threading.Lock()
        self._drawn_from: object = None
        self._text = b""
        self._next_s = 0.0

    def text(self) -> bytes:
        """Return the page."""
        with self._lock:
            now, files = time.monotonic(), self._files()
            if files != self._drawn_from and now >= self._next_s:
                began = time.thread_time()  # not the clock: the run works meanwhile
                self._text = self._draw().encode()
                self._drawn_from = files
                took = time.thread_time() - began
                self._next_s = time.monotonic() + max(_LEAST_S, took / _MOST_SHARE)
            return self._text

    def _files(self) -> tuple[tuple[int, int], ...]:
        """Return time and size of what the page is made from, zero for what is not there."""
        return tuple(_stamp(self.directory / name) for name in _WATCHED)

    def _draw(self) -> str:
        try:
            run = read(self.directory, self._methods, *self._given)
            run = run if run.finished else replace(run, patterns=None)
            return page_of(run, self._methods, refresh_s=_REFRESH_S)
        except (UserError, OSError) as error:
            # Not begun; or a file is just being replaced, and the last page is still good.
            return self._text.decode() or _WAITING.format(reason=escape(str(error)))

    def metrics(self) -> bytes:
        """Return the events so far as a JSON array."""
        return to_json(read_events(self.directory / METRICS)).encode()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], page: _Page) -> None:
        self.page = page
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking for the host's full name, which can take long without a network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Let go of browsers that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of two names; files have no names here, so none can be reached."""

    server: _Server
    timeout = 20
    server_version = "x-rai"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with headers and content."""
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        """Answer with headers alone."""
        self._answer(with_content=False)

    def _answer(self, *, with_content: bool) -> None:
        if not self._meant_for_us():
            self.send_error(HTTPStatus.FORBIDDEN, "this server is for its own machine")
            return
        contents = {
            "/": (self.server.page.text, "text/html; charset=utf-8"),
            "/metrics.json": (self.server.page.metrics, "application/json"),
        }
        known = contents.get(self.path.partition("?")[0])
        if known is None:
            self.send_error(HTTPStatus.NOT_FOUND, "there are / and /metrics.json")
            return
        try:
            content, kind = known[0](), known[1]
        except (UserError, OSError) as error:  # a file is damaged, or just being replaced
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "not to be read now", str(error))
            return
        tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
        changed = self.headers.get("If-None-Match") != tag
        self.send_response(HTTPStatus.OK if changed else HTTPStatus.NOT_MODIFIED)
        self.send_header("ETag", tag)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if changed:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if changed and with_content:
            self.wfile.write(content)

    def _meant_for_us(self) -> bool:
        """Whether a loopback server was asked by that name: other sites' names may lead here too.

        (DNS rebinding: a page of elsewhere whose name is made to mean this machine.)
        """
        bound = str(self.server.server_address[0])
        try:
            asked = urlsplit(f"//{self.headers.get('Host', bound)}").hostname
        except ValueError:  # no host's name, such as a bracket that is not closed
            return False
        return bound not in _LOOPBACK_NAMES or asked in _LOOPBACK_NAMES

    def log_message(self, *_: object) -> None:
        """Say nothing: the console belongs to the run."""
