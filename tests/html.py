"""HTML of a notebook's output, read back: it must be well formed, and its texts are found again."""

from xml.etree import ElementTree


def read_html(shown: str) -> ElementTree.Element:
    """The tree of an output. ElementTree refuses what is not well formed, such as a `<` that was not escaped."""
    return ElementTree.fromstring(shown)


def rows_of(shown: str) -> list[list[str]]:
    """The texts of every row of every table."""
    return [["".join(cell.itertext()) for cell in row] for row in read_html(shown).iter("tr")]


def bad_of(shown: str) -> list[str]:
    """The texts that are marked as failures."""
    return ["".join(e.itertext()) for e in read_html(shown).iter() if e.get("class") == "tg-bad"]
