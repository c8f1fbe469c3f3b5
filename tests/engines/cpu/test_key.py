"""Keys of compiled kernels: equal for equal kernels in every process, different for different kernels."""

import itertools
import os
import subprocess
import sys

import pytest

import tidegate
from tidegate import Cell, cells, sigmoid, tanh
from tidegate.calculus import trace
from tidegate.engines.cpu import kernels, key, target
from tidegate.engines.plan import backward_plan, forward_plan


def names(cell: type[Cell], where: target.Target = target.AVX512, real: str = "float") -> list[str]:
    """The names of a cell's kernels, with every set of flags."""
    found = []
    for ragged, traced in itertools.product((False, True), repeat=2):
        step = trace(cell)
        plans = [forward_plan(step, save=save, ragged=ragged, traced=traced) for save in (False, True)]
        for plan in (*plans, backward_plan(step, ragged=ragged, traced=traced)):
            found.append(key.key(where, real, f"ragged={ragged}", key.written(plan)))
    return found


def gate(scale: float = 2.0, *, squash=tanh) -> type[Cell]:
    class Leaky(Cell):
        gates, state = ("z", "n"), ("h",)

        def equations(a, U, h):
            z = sigmoid(a.z + U.z(h))
            n = squash(a.n + U.n(h) * scale)
            return (h + z * (n - h),), (z, n)

    return Leaky


def programs(cell: type[Cell]) -> list[str]:
    """The kernels' programs, in the same order."""
    found = []
    for ragged, traced in itertools.product((False, True), repeat=2):
        step, flags = trace(cell), {"ragged": ragged, "traced": traced}
        for save in (False, True):
            found.append(kernels.forward_program(step, target.AVX512, "float", save=save, **flags))
        found.append(kernels.backward_program(step, target.AVX512, "float", **flags))
    return [str(code.module) for code in found]


def test_kernels_have_the_same_name_only_if_their_programs_are_the_same():
    name_of = {}
    for cell in cells.CELLS.values():
        for name, program in zip(names(cell), programs(cell), strict=True):
            assert name_of.setdefault(name, program) == program
    assert len(name_of) > 11 * len(cells.CELLS)


def test_equal_equations_have_equal_names_whatever_the_class():
    assert names(gate()) == names(gate())


@pytest.mark.parametrize("other", [gate(2.0 + 2**-50), gate(-2.0), gate(squash=sigmoid)])
def test_a_change_in_the_equations_changes_every_name(other):
    assert not set(names(gate())) & set(names(other))


def test_gates_and_states_are_part_of_the_name():
    class Other(Cell):
        gates, state = ("n", "z"), ("h",)

        def equations(a, U, h):
            z = sigmoid(a.z + U.z(h))
            n = tanh(a.n + U.n(h) * 2.0)
            return (h + z * (n - h),), (n, z)

    class Renamed(Cell):
        gates, state = ("z", "n"), ("s",)
        equations = gate().equations

    assert len({*names(gate()), *names(Other), *names(Renamed)}) == 36


def test_number_type_and_processor_are_part_of_the_name():
    kinds = itertools.product((target.AVX512, target.AVX2, target.NEON), ("float", "double"))
    everything = [name for where, real in kinds for name in names(cells.GRU, where, real)]
    assert len(set(everything)) == len(everything)


def test_source_files_and_versions_are_part_of_the_name(monkeypatch):
    before = names(cells.GRU)
    monkeypatch.setattr(tidegate, "__version__", "0.0.0")
    assert not set(before) & set(names(cells.GRU))
    monkeypatch.undo()
    monkeypatch.setattr(key, "sources", lambda: "other files")
    assert not set(before) & set(names(cells.GRU))


def test_a_changed_source_file_changes_the_digest(tmp_path, monkeypatch):
    for name in ("key.py", "tile.py"):
        (tmp_path / name).write_text("AHEAD = 16\n")
    monkeypatch.setattr(key, "__file__", str(tmp_path / "key.py"))
    before = key.sources.__wrapped__()
    assert key.sources.__wrapped__() == before
    (tmp_path / "tile.py").write_text("AHEAD = 12\n")
    assert key.sources.__wrapped__() != before


def test_names_are_the_same_in_another_process():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_key; from tidegate import cells\n"
        "print(*(n for cell in reversed(cells.CELLS.values()) for n in test_key.names(cell)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", program, os.path.dirname(__file__)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert found == [name for cell in reversed(cells.CELLS.values()) for name in names(cell)]
