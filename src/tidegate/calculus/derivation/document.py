"""A derivation as a document in four formats."""

from dataclasses import dataclass

from tidegate.calculus.derivation.page_html import as_html, sections_html
from tidegate.calculus.derivation.page_latex import as_latex
from tidegate.calculus.derivation.page_markdown import as_markdown
from tidegate.calculus.derivation.page_text import as_text
from tidegate.calculus.derivation.parts import Equation, Section, Sentence
from tidegate.errors import ArgumentError

FORMATS = ("text", "latex", "markdown", "html")

__all__ = ["FORMATS", "Document", "Equation", "Section", "Sentence", "sections_html"]


@dataclass(frozen=True)
class Document:
    """Title, subtitle and sections; `language` is "en" or "zh"."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    language: str = "en"

    def __str__(self) -> str:
        return self.render("text")

    def render(self, format: str = "text") -> str:
        """As "text", "latex" (a whole article), "markdown" with $-formulas, or "html" (one page, offline)."""
        if format not in FORMATS:
            raise ArgumentError(f"`format` must be one of {', '.join(FORMATS)}, got {format!r}.")
        write = {"text": as_text, "latex": as_latex, "markdown": as_markdown, "html": as_html}[format]
        return write(self.title, self.subtitle, self.sections, self.language)
