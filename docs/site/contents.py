"""The table of contents: pages of docs/ that docs/index.md does not name are listed where it says (other pages)."""

import re
from typing import Any

from sphinx.application import Sphinx

PLACE = "(other pages)\n"


def with_other_pages(text: str, found: set[str]) -> str:
    """The text of docs/index.md with every page of the folder listed; `found` are the names of all pages."""
    named = set(re.findall(r"^(?:.*<)?([\w/.-]+)>?$", text, flags=re.M))
    pages = (name.removeprefix("docs/") for name in found if re.fullmatch(r"docs/[^/]+", name))
    return text.replace(PLACE, "".join(f"{page}\n" for page in sorted(pages) if page not in {*named, "index"}))


def read(app: Sphinx, name: str, source: list[str]) -> None:
    if name == app.config.root_doc:
        source[0] = with_other_pages(source[0], app.env.found_docs)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
