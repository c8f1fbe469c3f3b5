import re

import pytest

from tidegate.calculus import trace
from tidegate.calculus.expression import leaf
from tidegate.cells import CELLS, GRU, LSTM, Cell, PeepholeLSTM, ResetBeforeGRU
from tidegate.errors import EquationError
from tidegate.nn import find_cell

h, c = leaf("state", "h"), leaf("state", "c")


def test_a_gru_has_one_product_and_its_equations():
    step = trace(GRU)
    r, z, n = (step.gate[g] for g in "rzn")
    assert [(stage.operand, stage.gates) for stage in step.stages] == [(h, ("r", "z", "n"))]
    assert r is (leaf("input", "r") + leaf("product", "r")).sigmoid()
    assert n is (leaf("input", "n") + r * leaf("product", "n")).tanh()
    assert step.new["h"] is (1 - z) * n + z * h


def test_a_reset_before_gru_has_two_products_the_second_of_r_times_h():
    step = trace(ResetBeforeGRU)
    assert [stage.gates for stage in step.stages] == [("r", "z"), ("n",)]
    assert step.stages[1].operand is step.gate["r"] * h
    assert (step.stage_of("z"), step.stage_of("n")) == (0, 1)


def test_an_lstm_has_two_states_and_a_peephole_lstm_vectors():
    assert trace(LSTM).state == ("h", "c")
    assert trace(LSTM).vectors == ()
    assert list(trace(PeepholeLSTM).v) == ["i", "f", "o"]


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_every_gate_of_a_built_in_cell_has_an_input_and_a_product(cell):
    step = trace(cell)
    assert step.inputs == step.products == step.gates == cell.gates


def test_a_trace_is_made_once():
    assert trace(GRU) is trace(GRU)


def test_a_step_prints_its_equations():
    assert str(trace(GRU)).splitlines()[-2:] == ["  n = tanh(a_n + r * q_n)", "  h' = (1 - z) * n + z * h"]


def test_gates_without_input_or_product_are_left_out_of_the_packed_order():
    class Clock(Cell):
        gates = ("k", "n")
        state = ("h",)

        def equations(a, U, h):
            k = a.k.sigmoid()
            return (k * h + (1 - k) * U.n(h).tanh(),), (k, U.n(h).tanh())

    step = trace(Clock)
    assert (step.inputs, step.products) == (("k",), ("n",))


def test_stages_run_in_the_order_that_their_operands_need_whatever_the_order_of_the_gates():
    class Deep(Cell):
        gates = ("last", "middle", "first")
        state = ("h",)

        def equations(a, U, h):
            first = (a.first + U.first(h)).tanh()
            middle = (a.middle + U.middle(first * h)).tanh()
            last = (a.last + U.last(middle)).tanh()
            return (last,), (last, middle, first)

    step = trace(Deep)
    assert [stage.gates for stage in step.stages] == [("first",), ("middle",), ("last",)]
    assert step.products == ("last", "middle", "first")


HEAD = """
    gates = ("r", "n")
    state = ("h",)
"""

# What the user wrote, the line that the error must point to, and what the message must say.
MISTAKES = {
    "unknown gate": (HEAD, "x = U.q(h)", "x", r"U.q is not declared; gates = \('r', 'n'\)"),
    "branch": (HEAD, "if h > 0: pass", "x", "cannot branch on a value.*write maximum, minimum or relu"),
    "truth": (HEAD, "r = h and h", "x", "cannot branch on a value.*write maximum, minimum or relu"),
    "torch function": (HEAD, "import torch; r = torch.sigmoid(h)", "x", r"not of torch, NumPy or math"),
    "math function": (HEAD, "import math; r = math.tanh(h)", "x", r"not of torch, NumPy or math"),
    "array": (HEAD, "import numpy; r = numpy.ones(3) * h", "x", "learned per-unit vector is declared in `vectors`"),
    "power": (HEAD, "r = h ** 0.5", "x", r"whole number >= 1.*use sqrt"),
    "two products": (HEAD, "r = U.r(h) + U.r(h * h)", "x", "U.r multiplies two different operands.*second gate"),
    "no tuple": (HEAD, "return h", "def", r"must return the tuple of new states.*return \(h_new,\), \(r, n\)"),
    "too few gates": (HEAD, "return (h + a.r + a.n,), (a.r,)", "def", r"returns 1 of gates = \('r', 'n'\)"),
    "too many states": (HEAD, "return (h + a.n, h), (a.r, a.n)", "def", r"returns 2 of state = \('h',\)"),
    "a number": (HEAD, "return (1.0,), (a.r, a.n)", "def", "returns 1.0 for 'h', which is not a traced value"),
    "unused gate": (HEAD, "return (h + a.n,), (a.n, a.n)", "def", "gate 'r' is declared but never used.*remove it"),
    "swapped gates": (HEAD, "return (a.r * a.n,), (a.n, a.r)", "def", "uses neither a.r nor U.r.*in the order of"),
    "unchanged state": (
        HEAD.replace('("h",)', '("h", "c")'), "return (a.r + a.n + c, c), (a.r, a.n)", "def",
        "state 'c' is returned unchanged.*remove it from state",
    ),
    "no input": (HEAD, "return (U.r(h) * U.n(h),), (U.r(h), U.n(h))", "def", "no input reaches.*use a.r"),
    "unused vector": (
        HEAD + '    vectors = ("w",)\n', "return (a.r + a.n + h,), (a.r, a.n)", "def",
        "vector 'w' is declared but never used; use v.w, or remove it",
    ),
    "unknown vector": (HEAD + '    vectors = ("w",)\n', "r = v.k * h", "x", r"v.k is not declared; vectors = \('w',\)"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_with_the_cell_the_line_and_the_remedy(mistake, tmp_path):
    head, line, place, message = MISTAKES[mistake]
    states = ", ".join(re.findall(r'"(\w)"', head.split("state = ")[1].split("\n")[0]))
    v = "v, " * ("vectors" in head)
    text = (
        f"from tidegate import Cell\n\nclass Mine(Cell):{head}\n    def equations(a, U, {v}{states}):\n        {line}\n"
    )
    path = tmp_path / "mine.py"
    path.write_text(text)
    wanted = next(k for k, row in enumerate(text.splitlines(), 1) if (line if place == "x" else "def ") in row)
    with pytest.raises(EquationError, match=message) as caught:
        trace(find_cell(f"{path}:Mine"))
    assert f"Mine.equations, line {wanted} of {path}" in str(caught.value)


DECLARATIONS = {
    "gates is text": ('gates = "rz"; state = ("h",)', r"gates must be a tuple of names"),
    "gates are missing": ('state = ("h",)', r"gates must be a tuple of names.*got None"),
    "a name is no name": ('gates = ("r z",); state = ("h",)', r"tuple of names"),
    "no gate": ('gates = (); state = ("h",)', "at least one state and one gate"),
    "a name twice": ('gates = ("h",); state = ("h",)', r"declares \['h'\] twice.*its own name"),
    "no equations": ('gates = ("n",); state = ("h", "c")', r"no equations; write `def equations\(a, U, h, c\)`"),
    "self": (
        'gates = ("n",); state = ("h",)\n    def equations(self, a, U, h): pass',
        r"takes \(self, a, U, h\), expected \(a, U, h\).*no self",
    ),
}


@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_a_wrong_declaration_is_reported_with_the_remedy(declaration, tmp_path):
    body, message = DECLARATIONS[declaration]
    path = tmp_path / "mine.py"
    path.write_text(f"from tidegate import Cell\n\nclass Mine(Cell):\n    {body}\n")
    with pytest.raises(EquationError, match=message) as caught:
        trace(find_cell(f"{path}:Mine"))
    assert "Mine" in str(caught.value)
