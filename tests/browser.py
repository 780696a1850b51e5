"""Chromium without a window, driven in real time as a reader would drive it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

Seen = TypeVar("Seen")
_PATIENCE_S = 60.0
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1366,900",
)  # fmt: skip


@contextmanager
def chromium(home: Path) -> Iterator[webdriver.Chrome]:
    """Give a browser that keeps what it says and what it asks the network for.

    Skips the test where there is none.
    """
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("no chromium with chromedriver: the page is NOT tested where it is looked at")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for option in (*_OPTIONS, f"--user-data-dir={home}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(
        str(programs[1]), env={**os.environ, "HOME": str(home), "no_proxy": "localhost"}
    )
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(_PATIENCE_S)
    try:
        yield driver
    finally:
        driver.quit()


def wait(browser: webdriver.Chrome, what: Callable[[], Seen]) -> Seen:
    """Wait until something is there, and return it."""
    return WebDriverWait(browser, _PATIENCE_S, 0.1).until(lambda _: what())
