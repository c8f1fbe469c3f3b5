"""What the tests of the page do in the browser."""

from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait


def find(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def all_of(page, selector):
    return page.find_elements(By.CSS_SELECTOR, selector)


def wait(page, condition):
    return WebDriverWait(page, 20, 0.05).until(lambda _: condition())


def replayed(page, number=0):
    """The largest difference between log-probabilities of the page and of Python, relative where they exceed 1."""
    return float(wait(page, lambda: find(page, f'[data-replay="{number}"]').get_attribute("data-relative")))


def traces(page, code):
    return page.execute_script(f"return ((trace) => {code})(Tidegate.app.traces[0])")


def press(page, words, within="body"):
    """Click the button with this text."""
    button = next(b for b in all_of(page, f"{within} button") if b.get_attribute("textContent") == words)
    page.execute_script("arguments[0].click()", button)


def experimented(page, words):
    """The sentence of an experiment after its button is clicked."""
    before = find(page, "#experiment [role=status]").get_attribute("textContent")
    press(page, words, "#experiment")
    status = "#experiment [role=status]"
    return wait(page, lambda: (now := find(page, status).get_attribute("textContent")) != before and now)
