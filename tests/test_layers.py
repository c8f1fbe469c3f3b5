"""The house of the design: every folder imports only from the folders below it."""

import ast
from pathlib import Path

import pytest

LAYERS = [
    "errors",
    "cells",
    "calculus",
    "engines",
    "nn",
    "verification",
    "text",
    "train",
    "probes",
    "insight",
    "report",
    "export",
    "cli",
]
SOURCE = Path(__file__).parent.parent / "src" / "tidegate"


def layer(module: str) -> int:
    return LAYERS.index(module.split(".")[1])


def upward_imports(source: str, module: str) -> list[str]:
    """Imports in `source` (the text of `module`) that go up, as "line: imported module"."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: write absolute imports"
            names = [
                f"{node.module}.{alias.name}" if node.module == "tidegate" else node.module for alias in node.names
            ]
        else:
            continue
        for name in names:
            if name and name.startswith("tidegate.") and name.split(".")[1] in LAYERS and layer(name) > layer(module):
                found.append(f"{node.lineno}: {name}")
    return found


def modules() -> list[Path]:
    return sorted(p for p in SOURCE.rglob("*.py") if p.parent != SOURCE or p.stem in LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_only_go_down(path):
    module = "tidegate." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    assert not upward_imports(path.read_text(), module)


def test_every_folder_has_its_place_in_the_layers():
    assert {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__"} <= set(LAYERS)


def test_an_upward_import_is_found():
    assert upward_imports("from tidegate.cli import main", "tidegate.cells.gru") == ["1: tidegate.cli"]
    assert not upward_imports("from tidegate.cells import GRU", "tidegate.engines.eager")
