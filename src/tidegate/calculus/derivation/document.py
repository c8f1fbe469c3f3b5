"""A derivation as a document in four formats."""

from dataclasses import dataclass

from tidegate.calculus.derivation.page_html import as_html, sections_html
from tidegate.calculus.derivation.page_latex import as_latex
from tidegate.calculus.derivation.page_markdown import as_markdown
from tidegate.calculus.derivation.page_text import as_text
from tidegate.calculus.derivation.parts import Equation, Section, Sentence
from tidegate.calculus.derivation.picture import inline_picture
from tidegate.calculus.step import Step
from tidegate.errors import ArgumentError

FORMATS = ("text", "latex", "markdown", "html")

__all__ = ["FORMATS", "Document", "Equation", "Section", "Sentence", "sections_html"]


@dataclass(frozen=True)
class Document:
    """Title, subtitle and sections; `language` is "en" or "zh". `step`: the equations, which a page in HTML draws as a
    diagram with the letters of `notation`."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    language: str
    notation: str
    step: Step

    def __repr__(self) -> str:
        return f"<Document: {self.title}, {len(self.sections)} sections>"

    def _repr_html_(self) -> str:
        from tidegate.calculus.derivation.notebook import document_html

        return document_html(self)

    def _repr_latex_(self) -> str:
        from tidegate.calculus.derivation.notebook import document_latex

        return document_latex(self)

    def __str__(self) -> str:
        return self.render("text")

    def render(self, format: str = "text", *, picture: str | None = None) -> str:
        """As "text", "latex" (a whole article), "markdown" with $-formulas, or "html" (one page, offline).

        `picture` is the name of the SVG file of the diagram, for Markdown, which refers to it; a page in HTML contains
        the diagram.
        """
        if format not in FORMATS:
            raise ArgumentError(f"`format` must be one of {', '.join(FORMATS)}, got {format!r}.")
        if picture is not None and format != "markdown":
            raise ArgumentError(f"`picture` is for `format` markdown, got {format!r}: leave it out.")
        content = (self.title, self.subtitle, self.sections, self.language)
        if format == "html":
            return as_html(*content, inline_picture(self.step, self.notation, self.language))
        if format == "markdown":
            return as_markdown(*content, picture)
        return {"text": as_text, "latex": as_latex}[format](*content)
