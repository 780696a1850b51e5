"""The page in a browser without a window."""

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser import wait
from xrai.panels import METHODS
from xraisim.report.page import page_of, read

PROBE = """<script>
addEventListener("error", (e) => { document.body.dataset.error = e.message; });
addEventListener("unhandledrejection", (e) => { document.body.dataset.error = e.reason; });
addEventListener("securitypolicyviolation", (e) => { document.body.dataset.error = e.blockedURI; });
</script>"""
#: does what a reader does, one thing after another; tells which of them changed the picture
_ACTS = """
const done = arguments[0];
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
  done(seen);
})();
"""


def probed(page: str, more: str = "") -> str:
    """Return a page that writes its errors into its body, and a script at its end."""
    return page.replace("<title>", PROBE + "<title>", 1).replace("</body>", f"{more}</body>")


def shown(browser: Chrome, page: str, directory: Path) -> Chrome:
    path = directory / "probed.html"
    path.write_text(probed(page))
    browser.get(path.as_uri())
    return browser


def told(browser: Chrome, selector: str, name: str) -> str | None:
    """Return what an element says in a ``data-`` attribute; nothing may have gone wrong."""
    body = browser.find_element(By.TAG_NAME, "body")
    assert body.get_attribute("data-error") is None
    return browser.find_element(By.CSS_SELECTOR, selector).get_attribute(f"data-{name}")


def test_the_viewer_draws_a_surface(browser, finished_page, tmp_path):
    page = shown(browser, finished_page, tmp_path)
    wait(page, lambda: told(page, "canvas", "drawn"))
    assert told(page, "canvas", "drawn") == "density 40% of the maximum"
    assert int(told(page, "canvas", "triangles")) > 500
    # A ball of 4 nm in a cube of half-width 5.5 nm, drawn at 0.46 of the canvas's 640 pixels.
    assert 90_000 < int(told(page, "canvas", "lit")) < 250_000


def test_it_turns_zooms_and_changes_level(browser, finished_page, tmp_path):
    page = shown(browser, finished_page, tmp_path)
    assert page.execute_async_script(_ACTS) == [True] * 4
    assert told(page, "canvas", "drawn").startswith("intensity ")


def test_a_run_without_volumes_needs_no_viewer(browser, begun_run, tmp_path):
    page = shown(browser, page_of(read(begun_run, METHODS), METHODS), tmp_path)
    assert told(page, "body", "error") is None
    assert page.find_elements(By.TAG_NAME, "canvas") == []


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


def test_a_refresh_brings_news_and_keeps_what_the_reader_did(browser, finished_page, begun_run):
    """The page of a begun run becomes that of a finished one; zoom and opened details stay."""
    act = """<script>
viewer.state.zoom = 1.7;
document.querySelector("details").open = true;
</script>"""
    first = probed(page_of(read(begun_run, METHODS), METHODS, refresh_s=0.5), act)
    with changing([first, first, finished_page]) as address:
        browser.get(address)
        wait(browser, lambda: int(told(browser, "body", "refreshed") or 0) >= 2)
        wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "canvas[data-drawn]"))
        assert told(browser, "canvas", "drawn") == "density 40% of the maximum"
        assert browser.execute_script("return viewer.state.zoom") == 1.7
        assert browser.find_element(By.TAG_NAME, "details").get_attribute("open") is not None
        assert "Agreement of half-sets" in browser.page_source
        order = re.findall(r'<section id="([\w-]+)"', browser.page_source)
    assert order == re.findall(r'<section id="([\w-]+)"', finished_page)


def test_there_is_a_page_to_look_at(browser, finished_page, tmp_path):
    shown(browser, finished_page, tmp_path)
    assert len(browser.get_screenshot_as_png()) > 20_000
