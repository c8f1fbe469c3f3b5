"""A derivation in a notebook, and the diagram in its pages."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.html import read_html

import tidegate
from tidegate.calculus.derivation import LANGUAGES, NOTATIONS, derive
from tidegate.calculus.derivation.picture import NAMESPACE
from tidegate.calculus.diagram import diagram
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError

TIDE = f"{Path(__file__).parents[3] / 'examples' / 'tide.py'}:Tide"


@pytest.mark.parametrize("name", [*CELLS, TIDE])
def test_a_notebook_shows_every_section_with_the_diagram_in_well_formed_html(name):
    document = derive(name)
    root = read_html(document._repr_html_())
    assert ["".join(e.itertext()) for e in root.iter("h4")] == [section.title for section in document.sections]
    assert len(list(root.iter("svg"))) == 1
    assert len(list(root.iter("math"))) > 40
    assert repr(document) == f"<Document: {document.title}, {len(document.sections)} sections>"


def test_the_latex_of_a_notebook_is_the_body_of_the_article():
    document = derive("gru", jacobian_only=True)
    body = document._repr_latex_()
    assert body in document.render("latex")
    assert "document" not in body
    assert body.count(r"\begin{align*}") == document.render("latex").count(r"\begin{align*}") > 3


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("name", ["lstm", TIDE])
def test_a_page_in_html_has_the_diagram_in_its_letters_and_language(name, notation, language):
    document = derive(name, notation=notation, language=language, steps="brief")
    drawn = diagram(name, notation=notation, language=language).svg.replace(NAMESPACE, "", 1)
    for page in (document.render("html"), document._repr_html_()):
        assert page.count("<svg") == 1
        assert drawn in page


def test_a_page_of_a_cell_that_is_too_large_for_a_diagram_says_so():
    class Wide(tidegate.Cell):
        gates = ("n",)
        state = ("h",)

        def equations(a, U, h):
            total = a.n
            for k in range(50):
                total = total + tidegate.tanh(tidegate.sigmoid(k * h))
            return (total,), (a.n,)

    page = derive(Wide, jacobian_only=True).render("html")
    assert "too large for a diagram" in page
    assert "<svg" not in page


def test_markdown_names_the_file_of_the_diagram_and_other_formats_have_none():
    document = derive("gru")
    assert "](my.svg)" in document.render("markdown", picture="my.svg")
    assert ".svg" not in document.render("markdown")
    with pytest.raises(ArgumentError, match="`picture` is for `format` markdown, got 'latex'"):
        document.render("latex", picture="my.svg")


def test_the_diagram_inside_a_page_is_the_one_of_its_equations():
    page = derive("gru", convention="write").render("html")
    inside = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    description = ElementTree.fromstring(inside).find("desc").text
    assert "h' = z * n + (1 - z) * h" in description
