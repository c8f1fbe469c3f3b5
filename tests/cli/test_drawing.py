"""`tidegate derive CELL --diagram`: alone, a part of it, and beside a page."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from tidegate.calculus.diagram import diagram
from tidegate.cells import CELLS
from tidegate.cli.app import app
from tidegate.errors import ArgumentError

TIDE = f"{Path(__file__).parents[2] / 'examples' / 'tide.py'}:Tide"


def run(*arguments):
    return CliRunner().invoke(app, ["derive", *map(str, arguments)])


@pytest.mark.parametrize("cell", [*CELLS, TIDE])
def test_a_diagram_is_written_for_every_cell(cell, tmp_path):
    path = tmp_path / "cell.svg"
    done = run(cell, "--diagram", "--out", path)
    assert done.exit_code == 0
    assert path.read_text(encoding="utf-8") == diagram(cell).svg
    assert str(path) in done.output.replace("\n", "")


def test_without_a_file_the_diagram_goes_to_standard_output():
    assert run("gru", "--diagram", "--until", "r, z").output == diagram("gru", until=("r", "z")).svg


def test_a_page_in_markdown_refers_to_the_diagram_beside_it(tmp_path):
    page = tmp_path / "gru.md"
    assert run("gru", "--diagram", "--convention", "write", "--out", page).exit_code == 0
    assert "![Data flow of one step](gru.svg)" in page.read_text(encoding="utf-8")
    drawn = (tmp_path / "gru.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(drawn)
    assert drawn != diagram("gru").svg  # that of the convention of the page


def test_a_diagram_has_the_letters_and_the_language_of_the_options(tmp_path):
    page, chosen = tmp_path / "gru.md", ("--notation", "nndl", "--language", "zh")
    assert run("gru", "--diagram", *chosen, "--out", page).exit_code == 0
    assert "![一步的数据流](gru.svg)" in page.read_text(encoding="utf-8")
    expected = diagram("gru", notation="nndl", language="zh").svg
    assert (tmp_path / "gru.svg").read_text(encoding="utf-8") == expected == run("gru", "--diagram", *chosen).output
    assert expected != diagram("gru").svg


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--until", "r"), "`until` chooses a part of a diagram: add --diagram"),
        (("--out", "gru.svg"), "add --diagram to draw a diagram"),
        (("--diagram", "--out", "gru.html"), "a page in HTML has its diagram without --diagram"),
        (("--diagram", "--out", "gru.tex"), "the ending must be .svg for a diagram, or .md"),
        (("--diagram", "--out", "gru.md", "--until", "r"), "`until` is for a diagram alone"),
        (("--diagram", "--out", "gru.svg", "--jacobian"), "`jacobian` is for a derivation"),
        (("--diagram", "--format", "latex"), "`format` is for a derivation"),
        (("--diagram", "--until", "k"), "`until` must be names of gates and states, r, z, n, h, got 'k'"),
    ],
)
def test_options_that_do_not_go_together_are_refused_and_nothing_is_written(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("gru", *options)
    assert isinstance(done.exception, ArgumentError)
    assert message in str(done.exception)
    assert not list(tmp_path.iterdir())
