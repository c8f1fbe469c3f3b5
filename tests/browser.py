"""A headless Chromium for tests of pages: the fixtures `browser` and `open_page`.

Chromium and chromedriver are Debian's packages `chromium` and `chromium-driver`. Where they are missing the tests are
skipped, but fail if the environment variable CI is set: a continuous integration that skips them would prove nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # a page that asks for any host gets an error
)


def find_browser() -> tuple[str, str]:
    """The programs Chromium and chromedriver; skips the test, or fails it under CI, where one is missing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    reason = (
        f"a browser test needs {'chromedriver' if browser else 'chromium'}: apt-get install chromium chromium-driver"
    )
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """A running headless Chromium, the same one for all tests."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    program, driver = find_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in OPTIONS:
        options.add_argument(option)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    running.set_script_timeout(60)
    yield running
    running.quit()


@pytest.fixture
def open_page(browser: Chrome, tmp_path: Path) -> Iterator[Callable[..., Chrome]]:
    """`open_page(html, width=1400, height=900, fragment="")` opens a page from a file and returns the browser.

    A message of level SEVERE in the console, such as an uncaught error or a refused request, fails the test.
    """

    def open_it(html: str, *, width: int = 1400, height: int = 900, fragment: str = "") -> Chrome:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        browser.get("about:blank")  # so that a change of the fragment alone loads the page again
        browser.get(path.as_uri() + fragment)
        return browser

    browser.get_log("browser")
    yield open_it
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors, errors
