"""The layers of the package: every folder and module imports only from those before it."""

import ast
from pathlib import Path

import pytest

LAYERS = [
    "loading",
    "waiting",
    "forks",
    "errors",
    "notebook",
    "cells",
    "calculus",
    "engines",
    "memory",
    "nn",
    "verification",
    "text",
    "tasks",
    "train",
    "insight",
    "comparing",
    "export",
    "report",
    "cli",
]
SOURCE = Path(__file__).parent.parent / "src" / "tidegate"
ABOVE = ("__init__", "__main__", "public")  # the public names of all layers
BELOW = ("__version__",)  # what any layer may ask of the package itself


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
            if not name or not name.startswith("tidegate.") or name.split(".")[1] in BELOW:
                continue
            if name.split(".")[1] not in LAYERS or layer(name) > layer(module):
                found.append(f"{node.lineno}: {name}")
    return found


def modules() -> list[Path]:
    return sorted(p for p in SOURCE.rglob("*.py") if p.parent != SOURCE or p.stem not in ABOVE)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_only_go_down(path):
    module = "tidegate." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    assert not upward_imports(path.read_text(), module)


def test_every_folder_and_module_is_in_a_layer_and_every_layer_exists():
    inside = {p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert inside - set(ABOVE) == set(LAYERS)


def test_the_check_detects_an_upward_import():
    assert upward_imports("from tidegate.cli import main", "tidegate.cells.gru") == ["1: tidegate.cli"]
    assert upward_imports("from tidegate import GRU", "tidegate.cells.gru") == ["1: tidegate.GRU"]
    assert not upward_imports("from tidegate.cells import GRU", "tidegate.engines.eager")
    assert not upward_imports("from tidegate import __version__", "tidegate.cells.gru")
