"""`tidegate kernels`: a process after it compiles nothing."""

import os
import subprocess
import sys

import pytest
from tests.own_cell import PROGRAM

from tidegate.cells import CELLS
from tidegate.engines.cpu import ahead, kernels, target

COMMAND = "from tidegate.cli.app import main; main({})"

USE = """
import torch, tidegate
from tidegate.engines.cpu import runtime
from tidegate.nn import build_layer

def compiled(text, target):
    raise AssertionError("a kernel is compiled")

{}
torch.set_default_dtype(torch.{dtype})
layer, head = build_layer("{cell}", 7, 33), torch.nn.Linear(33, 7)
optimizer = torch.optim.AdamW([*layer.parameters(), *head.parameters()])
x, y = torch.randint(7, (5, 3)), torch.randint(7, (5, 3))
for precision in ("highest", "medium"):
    torch.set_float32_matmul_precision(precision)
    for given, options in ((x, {{}}), (torch.randn(5, 3, 7), {{"lengths": [2, 5, 4]}})):
        loss = tidegate.linear_cross_entropy(layer(given, **options)[0], head.weight, head.bias, y)
        loss.backward()
        if torch.get_default_dtype() is not torch.bfloat16:
            tidegate.clip_and_step(optimizer, 1.0)
    with torch.no_grad():
        layer(x)
        layer(x, lengths=[2, 5, 4])
if torch.get_default_dtype() is not torch.bfloat16:
    tidegate.stream(layer).step(3)
print("done")
"""


def python(program, folder, **environment):
    command = [sys.executable, "-c", program]
    given = os.environ | {"TIDEGATE_CACHE": str(folder / "kernels")} | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, env=given)


@pytest.mark.parametrize(("cell", "dtype"), [("lstm", "float32"), ("mine.py:Leaky", "float64"), ("gru", "bfloat16")])
def test_after_it_a_process_compiles_nothing(tmp_path, cell, dtype):
    (tmp_path / "mine.py").write_text(PROGRAM)
    command = COMMAND.format(["kernels", "--cell", cell, "--dtype", dtype])
    first, second = python(command, tmp_path), python(command, tmp_path)
    count = len(list((tmp_path / "kernels").glob("*.o")))
    assert f"The kernels of 1 cell for {target.host().cpu} are ready: {count} compiled now, in" in first.stdout
    assert f"{tmp_path / 'kernels'} has {count}, " in first.stdout
    with_pairs = kernels.here().pairs and dtype != "float64"
    assert ("multiply bfloat16 numbers; they took" in first.stdout) is with_pairs
    assert "are ready: 0 compiled now" in second.stdout
    forbidden = "runtime.optimize = compiled"
    used = python(USE.format(forbidden, cell=cell, dtype=dtype), tmp_path)
    assert used.stdout == "done\n", used.stderr
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "mine.py").write_text(PROGRAM)
    unused = python(USE.format(forbidden, cell=cell, dtype=dtype), tmp_path / "empty")
    assert "a kernel is compiled" in unused.stderr


def test_every_cell_and_every_kind_of_kernel_is_among_them():
    from tidegate.calculus import trace

    steps = [trace(cell) for cell in CELLS.values()]
    here, with_unit = target.AVX512, target.AMX
    plain, unit = (ahead.every(steps, where, "float") for where in (here, with_unit))
    assert len(plain) == 5 + 7 * len(steps)
    assert len(unit) == 5 + 16 * len(steps)
    assert sum(making.func is kernels.backward_kernel for making in unit) == 6 * len(steps)  # type: ignore[attr-defined]


def test_kernels_with_bfloat16_products_are_made_for_processors_that_have_them():
    from tidegate.calculus import trace

    steps = [trace(cell) for cell in CELLS.values()]
    assert [len(ahead.with_pairs(steps, where)) for where in (target.AVX512, target.AVX2, target.NEON)] == [0, 0, 0]
    assert len(ahead.with_pairs(steps, target.BF16)) == 2 + 6 * len(steps)
    assert len(ahead.with_pairs(steps, target.BF16, "bfloat")) == 3 + 6 * len(steps)
    assert len(ahead.with_pairs(steps, target.AMX)) == 2 + 14 * len(steps)
    assert ahead.with_pairs(steps, target.AMX, "bfloat") == []


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path, tidegate, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "file" / "kernels"))
    outcome = tidegate("kernels", "--cell", "rnn")
    assert outcome.code == 2
    assert outcome.err.startswith("error: compiled kernels cannot be kept: Not a directory: ")
    assert outcome.err.endswith(
        "TIDEGATE_CACHE can name a folder that belongs to you and that nobody else can write.\n"
    )
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    monkeypatch.setenv("TIDEGATE_CACHE", str(open_to_all))
    outcome = tidegate("kernels", "--cell", "rnn")
    assert outcome.code == 2
    assert f"kernels cannot be kept: other users can write {open_to_all} (mode 0777" in outcome.err


def test_wrong_arguments_are_named(tidegate):
    assert "--dtype must be float32, float64 or bfloat16, got 'half'" in tidegate("kernels", "--dtype", "half").err
    assert "gruu" in tidegate("kernels", "--cell", "gruu").err
