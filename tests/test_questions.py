"""docs/questions.md: its tables are what its script measures, and they show what the page says."""

import importlib.util
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "docs"
PAGE = (FOLDER / "questions.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("questions", FOLDER / "questions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(lines):
    """The cells of each row of a table, numbers as floats."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [[float(c) if re.fullmatch(r"[-\d.e+]+", c) else c for c in row] for row in cells[2:]]


def in_page(name):
    return rows(PAGE.split(f"<!-- measured: {name} -->\n")[1].split("<!-- end -->")[0].splitlines())


@pytest.mark.parametrize("name", ["explode", "vanish", "element-wise", "gates", "relu"])
def test_a_new_measurement_reproduces_the_tables_of_the_page(name, script):
    for printed, measured in zip(in_page(name), rows(script.MEASURED[name]()), strict=True):
        for old, new in zip(printed, measured, strict=True):
            if isinstance(old, float) and (old > 1e-9 or new > 1e-9):  # below, only that it is nothing counts
                assert new == pytest.approx(old, rel=0.1, abs=0.02)
            elif isinstance(old, str):
                assert new == old


def test_the_tables_agree_with_the_text_of_the_page():
    explode = {row[0]: row[1:] for row in in_page("explode")}
    assert explode["residual, tanh"][2] > 100 * explode["GRU, bias of z + 3"][2]
    assert explode["GRU, bias of z + 3"][2] > 100 * explode["GRU"][2]
    vanish = {row[0]: row[1:] for row in in_page("vanish")}
    assert vanish["plain RNN"][0] < 1e-20
    assert vanish["GRU, bias of z + 4"][2] == "32 of 32"
    assert {(r, z): distances for r, z, *distances in in_page("gates")}[0, 0][2] < 1e-9
    assert in_page("relu")[0][3] == 1


def test_every_measured_table_has_its_place(script):
    assert set(re.findall(r"<!-- measured: ([\w-]+) -->", PAGE)) == set(script.MEASURED)
