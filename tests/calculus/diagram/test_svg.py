"""The file of a diagram: well formed, accessible, complete in itself, the same in light and dark."""

import re
import unicodedata
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.calculus.diagram.cells import Chain, Everything

import tidegate
from tidegate.calculus import trace
from tidegate.calculus.derivation import LANGUAGES, NOTATIONS
from tidegate.calculus.derivation.formula import upright
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


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("cell", EVERY)
def test_a_diagram_has_the_letters_of_the_notation_and_no_others(cell, notation, language):
    step = trace(cell)
    letters, drawn = NOTATIONS[notation](step), diagram(step, notation=notation, language=language)
    written = [unicodedata.normalize("NFC", text) for text in texts(drawn.svg)]
    legend = sum(len(text) > 12 for text in written)
    names = [letters.value(name) for name in (*step.gate, *step.state)] + [letters.x()]
    names += [upright(letters.W(letters.sub(g))) for g in step.inputs]
    names += [upright(letters.U(letters.sub(g))) for g in step.products] + [letters.v(v) for v in step.vectors]
    names += [replace(letters.value(s), time=-1) for s in step.state]
    accents = {"": "", "tilde": "\u0303"}
    below = {None: "", 0: "t", -1: "t−1"}
    expected = set()
    for name in names:
        sub = ",".join(filter(None, (name.sub, below[name.time])))
        expected.add(unicodedata.normalize("NFC", f"{name.letter}{accents[name.accent]}" + f"_{sub}" * bool(sub)))
    others = {text for text in written if re.fullmatch(r"\w\W?_.*|[WU]", text)} - expected
    assert expected <= set(written)
    assert not others
    assert legend >= 1
    ElementTree.fromstring(drawn.svg)


def test_a_diagram_of_rows_says_on_which_side_its_matrices_multiply_and_chinese_has_a_legend_in_chinese():
    assert "W on an arrow: multiply by this matrix on the right, add its bias." in diagram("gru", notation="d2l").svg
    chinese = diagram("gru", notation="nndl", language="zh")
    assert "箭头上的 W 或 U：乘以这个矩阵，再加偏置。" in chinese.svg
    assert chinese.title == "单元 GRU 一步的数据流"
    assert "a_h[t] = W_h x[t] + r[t] * (U_h h[t-1] + c_h) + b_h" in chinese.description
    assert not re.search("Box:|Circle:|Data flow", chinese.svg)
    with pytest.raises(ArgumentError, match="`notation` must be one of tidegate, nndl, d2l, got 'nnd'"):
        diagram("gru", notation="nnd")


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
