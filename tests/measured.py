"""Measured tables of a page of docs, as tests read them."""

import importlib.util
import re
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs"
NUMBER = r"-?[\d.,]+(?:e[-+]\d+)?"


def script(name):
    """docs/NAME.py as a module; pytest finds what it imports from docs/measured."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name):
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def value(cell):
    """The number of a cell, (number, lowest, highest) where it has a range, or its text."""
    if found := re.fullmatch(rf"({NUMBER}) \(({NUMBER}) to ({NUMBER})\)", cell):
        return tuple(map(as_float, found.groups()))
    return as_float(cell) if re.fullmatch(NUMBER, cell) else cell


def as_float(text):
    return float(text.replace(",", ""))


def rows(lines):
    """The rows of a table below its head, with their values."""
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if line.startswith("|")]
    return [[value(cell) for cell in row] for row in cells[2:]]


def in_page(text, name):
    return rows(text.split(f"<!-- measured: {name} -->\n")[1].split("<!-- end -->")[0].splitlines())


def by_label(found):
    return {row[0]: row[1:] for row in found}


def middle(cell):
    return cell[0] if isinstance(cell, tuple) else cell


def limits(cell):
    return cell[1:] if isinstance(cell, tuple) else (cell, cell)
