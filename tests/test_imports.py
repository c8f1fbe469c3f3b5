"""What `import tidegate` does not import: packages that are slow to load are loaded where they are needed."""

import subprocess
import sys

HEAVY = ("sympy", "llvmlite", "matplotlib", "rich", "typer", "safetensors", "onnx", "triton", "scipy", "joblib")


def modules_after(statement):
    code = f"import torch, sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_tidegate_imports_no_heavy_package():
    brought = modules_after("from tidegate import GRU")
    assert "tidegate" in brought
    assert not brought & set(HEAVY)


def test_tracing_and_differentiating_a_cell_imports_no_heavy_package():
    statement = "import tidegate.calculus as c, tidegate.cells as k; [c.adjoint(c.trace(x)) for x in k.CELLS.values()]"
    assert not modules_after(statement) & set(HEAVY)


def test_the_check_detects_a_heavy_import():
    assert "sympy" in modules_after("import sympy")
