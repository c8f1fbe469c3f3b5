"""Where there is no browser, its tests are skipped with a reason; under CI they fail."""

import pytest
from tests.browser import find_browser


@pytest.fixture(autouse=True)
def no_browser(monkeypatch):
    monkeypatch.setattr("tests.browser.shutil.which", lambda name: None)


def test_a_missing_browser_skips_with_the_packages_to_install(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium chromium-driver"):
        find_browser()


def test_a_missing_browser_fails_under_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs chromium"):
        find_browser()


def test_a_browser_without_its_driver_is_not_enough(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("tests.browser.shutil.which", lambda name: "/bin/" + name if name == "chromium" else None)
    with pytest.raises(pytest.skip.Exception, match="needs chromedriver"):
        find_browser()
