"""The file of a diagram: well formed, accessible, complete in itself, the same in light and dark."""

import re
from xml.etree import ElementTree

import pytest
from tests.calculus.diagram.cells import Chain, Everything

import tidegate
from tidegate.calculus import trace
from tidegate.calculus.diagram import diagram
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError

SVG = "{http://www.w3.org/2000/svg}"
EVERY = [*CELLS.values(), Everything, Chain]


def texts(svg):
    """The texts of a diagram, with "_" before a subscript."""
    found = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        below = "".join(text for part in element.iter() if part.get("class") == "tg-sub" for text in part.itertext())
        whole = "".join(element.itertext())
        found.append(f"{whole.removesuffix(below)}_{below}" if below else whole)
    return found


@pytest.mark.parametrize("cell", EVERY)
def test_the_file_is_well_formed_names_everything_and_loads_nothing(cell):
    svg, step = diagram(cell).svg, trace(cell)
    root = ElementTree.fromstring(svg)
    written = texts(svg)
    assert {f"W_{g}" for g in step.inputs} | {f"U_{g}" for g in step.products} <= set(written)
    assert {f"{s}_t" for s in step.state} | {f"{s}_t−1" for s in step.state} | {"x_t"} <= set(written)
    assert {f"{g}_t" for g in step.gate} <= set(written)
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"url\(|@import|href", svg)
    ids = {e.get("id") for e in root.iter() if e.get("id")}
    assert set(root.get("aria-labelledby").split()) == ids
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == f"Data flow of one step of the cell {step.name}"
    for g in step.gates:
        assert f"{g} = " in root.find(f"{SVG}desc").text


def test_colours_are_defined_for_light_and_for_dark_and_only_for_the_diagram():
    style = ElementTree.fromstring(diagram("gru").svg).find(f"{SVG}style").text
    assert "prefers-color-scheme: dark" in style
    flat = re.sub(r"@media[^{]*\{(.*?\})\s*\}", r"\1", style, flags=re.S)
    selectors = [rule.split("{")[0].strip() for rule in flat.split("}") if "{" in rule]
    assert selectors
    assert all(selector.startswith(".tg-flow") for selector in selectors)
    light, rest = style.split("@media")
    light, dark = (set(re.findall(r"(--[\w-]+):", part)) for part in (light, rest.partition("} }")[0]))
    assert light >= dark >= {"--paper", "--ink", "--box", "--circle", "--x", "--state"}


def test_diagrams_of_the_same_cell_on_one_page_have_ids_of_their_own():
    whole, part = diagram("gru").svg, diagram("gru", until=("r", "z")).svg
    assert not set(re.findall(r'id="([^"]*)"', whole)) & set(re.findall(r'id="([^"]*)"', part))


def test_the_legend_explains_only_what_is_drawn():
    assert "Circle" not in diagram("rnn").svg
    assert "learned vector" not in diagram("lstm").svg
    assert "learned vector" in diagram("peephole-lstm").svg
    assert "subtract" in diagram(Everything).svg


def test_the_same_equations_give_the_same_file_from_a_class_a_step_or_a_name():
    assert diagram("lstm") == diagram(tidegate.cells.LSTM) == diagram(trace(tidegate.cells.LSTM))


def test_a_notebook_shows_the_picture():
    shown = tidegate.diagram("gru")
    assert shown._repr_svg_() == shown.svg
    assert repr(shown) == "<Diagram: Data flow of one step of the cell GRU>"


def test_names_of_two_letters_and_signs_are_escaped():
    class Odd(tidegate.Cell):
        gates = ("größe",)
        state = ("h",)

        def equations(a, U, h):
            n = tidegate.tanh(a.größe + U.größe(h))
            return (n,), (n,)

    assert "W_größe" in texts(diagram(Odd).svg)


@pytest.mark.parametrize(
    ("cell", "until", "message"),
    [
        (3, (), "`cell` must be a class that derives from tidegate.Cell"),
        ("gru", "rz", r"`until` must be a tuple of names such as \('rz',\)"),
        ("gru", ("k",), "`until` must be names of gates and states, r, z, n, h, got 'k'"),
        ("grue", (), "Did you mean gru"),
    ],
)
def test_bad_arguments_are_errors(cell, until, message):
    with pytest.raises(ArgumentError, match=message):
        diagram(cell, until=until)
