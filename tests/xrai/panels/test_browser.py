"""The page in a browser without a window."""

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xrai.panels import METHODS
from xraisim.report.page import page_of, read

PROBE = """<script>
addEventListener("error", (e) => { document.body.dataset.error = e.message; });
addEventListener("unhandledrejection", (e) => { document.body.dataset.error = e.reason; });
addEventListener("securitypolicyviolation", (e) => { document.body.dataset.error = e.blockedURI; });
</script>"""


def probed(page: str, more: str = "") -> str:
    """Return a page that writes its errors into its body, and a script at its end."""
    return page.replace("<title>", PROBE + "<title>", 1).replace("</body>", f"{more}</body>")


def canvas(dom: str) -> dict[str, str]:
    assert "data-error" not in re.search("<body[^>]*>", dom)[0]
    element = re.search(r"<canvas[^>]*>", dom)[0]
    return dict(re.findall(r'data-(\w+)="([^"]*)"', element))


def test_the_viewer_draws_a_surface(chromium, finished_page, tmp_path):
    path = tmp_path / "probed.html"
    path.write_text(probed(finished_page))
    drawn = canvas(chromium(path.as_uri()))
    assert drawn["drawn"] == "density 40% of the maximum"
    assert int(drawn["triangles"]) > 500
    # A ball of 4 nm in a cube of half-width 5.5 nm, drawn at 0.46 of the canvas's 640 pixels.
    assert 90_000 < int(drawn["lit"]) < 250_000


def test_it_turns_zooms_and_changes_level(chromium, finished_page, tmp_path):
    act = """<script>
(async () => {
  const canvas = document.getElementById("viewer-canvas"), seen = [];
  const level = document.getElementById("viewer-level");
  const cube = document.getElementById("viewer-cube");
  const pause = () => new Promise((done) => setTimeout(done, 20));
  const pixels = () => canvas.getContext("2d").getImageData(0, 0, 640, 640).data;
  while (!canvas.dataset.frames) await pause();
  for (const act of [
    () => canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" })),
    () => canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -300, cancelable: true })),
    () => { level.value = 0; level.dispatchEvent(new Event("input")); },
    () => { cube.value = "intensity"; cube.dispatchEvent(new Event("change")); },
  ]) {
    const before = pixels(), frame = canvas.dataset.frames;
    act();
    while (canvas.dataset.frames === frame) await pause();
    const after = pixels();
    seen.push(after.some((value, i) => value !== before[i]));
  }
  canvas.dataset.changes = seen;
})();
</script>"""
    path = tmp_path / "probed.html"
    path.write_text(probed(finished_page, act))
    drawn = canvas(chromium(path.as_uri(), milliseconds=120_000))
    assert drawn["changes"] == ",".join(["true"] * 4)
    assert drawn["drawn"].startswith("intensity ")


def test_a_run_without_volumes_needs_no_viewer(chromium, begun_run, tmp_path):
    path = tmp_path / "begun.html"
    path.write_text(probed(page_of(read(begun_run, METHODS), METHODS)))
    dom = chromium(path.as_uri())
    assert "data-error" not in re.search("<body[^>]*>", dom)[0]
    assert "<canvas" not in dom


@contextmanager
def changing(pages: list[str]) -> Iterator[str]:
    """Serve the pages one after another, the last for ever."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = (pages.pop(0) if len(pages) > 1 else pages[0]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_refresh_brings_news_and_keeps_what_the_reader_did(chromium, finished_page, begun_run):
    """The page of a begun run becomes that of a finished one; zoom and opened details stay."""
    act = """<script>
setTimeout(() => {
  viewer.state.zoom = 1.7;
  document.querySelector("details").open = true;
}, 100);
setInterval(() => { document.body.dataset.zoom = viewer.state.zoom; }, 200);
</script>"""
    first = probed(page_of(read(begun_run, METHODS), METHODS, refresh_s=0.5), act)
    with changing([first, first, finished_page]) as address:
        dom = chromium(address, milliseconds=8000)
    body = re.search("<body[^>]*>", dom)[0]
    assert "data-error" not in body
    assert int(re.search(r'data-refreshed="(\d+)"', body)[1]) >= 2
    assert 'data-zoom="1.7"' in body
    assert "Agreement of half-sets" in dom
    assert '<details open=""' in dom
    assert canvas(dom)["drawn"] == "density 40% of the maximum"
    order = re.findall(r'<section id="([\w-]+)"', dom)
    assert order == re.findall(r'<section id="([\w-]+)"', finished_page)


def test_there_is_a_page_to_look_at(chromium, finished_page, tmp_path):
    path, picture = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(finished_page)
    chromium(path.as_uri(), f"--screenshot={picture}", "--window-size=1200,900")
    assert Path(picture).stat().st_size > 20_000
