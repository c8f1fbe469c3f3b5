"""The language of each page: browsers choose fonts, line breaks and the voice of a screen reader by it."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def language_of(name: str) -> str:
    """ "zh" for pages whose name ends with .zh or that are in a folder zh, otherwise "en"."""
    return "zh" if re.search(r"\.zh$|/zh/", name) else "en"


def set_language(
    app: Sphinx, name: str, template: str, context: dict[str, Any], document: nodes.document | None
) -> None:
    context["language"] = language_of(name)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", set_language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
