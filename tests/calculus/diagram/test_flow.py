"""A diagram states the equations: read as its legend says, it computes the step."""

import numpy as np
import pytest
import torch
from tests.calculus.diagram.cells import Chain, Everything

import tidegate
from tidegate.calculus import trace
from tidegate.calculus.derivation.formula import Name
from tidegate.calculus.diagram.flow import Arrow, flow
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError, EquationError

EVERY = [*CELLS.values(), Everything, Chain]
H, D = 5, 3


class Numbers:
    """Random parameters and states of a cell, and its step by torch, from the equations as the user wrote them."""

    def __init__(self, cell):
        self.cell, random = cell, np.random.default_rng(8)
        gates = cell.gates
        self.W = {g: random.normal(size=(H, D)) for g in gates}
        self.U = {g: random.normal(size=(H, H)) for g in gates}
        self.b, self.c = ({g: random.normal(size=H) for g in gates} for _ in range(2))
        self.v = {n: random.normal(size=H) for n in cell.vectors}
        self.x, self.old = random.normal(size=D), {s: random.normal(size=H) for s in cell.state}

    def step(self):
        class A:
            pass

        a, U, v = A(), A(), A()
        for g in self.cell.gates:
            setattr(a, g, torch.tensor(self.W[g] @ self.x + self.b[g]))
            setattr(U, g, lambda p, g=g: torch.tensor(self.U[g]) @ p + torch.tensor(self.c[g]))
        for n, vector in self.v.items():
            setattr(v, n, torch.tensor(vector))
        states = [torch.tensor(self.old[s]) for s in self.cell.state]
        new, gates = self.cell.equations(a, U, *([v] if self.v else []), *states)
        return dict(zip(self.cell.state, new)) | dict(zip(self.cell.gates, gates))

    def read(self, drawn):
        """The values of the outputs and of the named nodes of a flow, as a reader of the picture computes them."""
        values, found = [], {}
        for i, node in enumerate(drawn.nodes):
            terms = [self.along(arrow, values) for arrow in drawn.arrows if arrow.target == i]
            value = self.at(node, terms)
            values.append(value)
            for name in (node.name, node.label if node.kind == "output" else None):
                if name:
                    found[name.letter] = value
        return found

    def along(self, arrow, values):
        value = values[arrow.source]
        if isinstance(arrow.label, Name):
            kind, gate = arrow.label.letter, arrow.label.sub
            return {"W": lambda: self.W[gate] @ value + self.b[gate], "U": lambda: self.U[gate] @ value + self.c[gate],
                    "v": lambda: self.v[gate] * value}[kind]()  # fmt: skip
        return 1 / value if arrow.label == "divisor" else {"": value, "−": -value}[arrow.label]

    def at(self, node, terms):
        if node.kind == "input":
            return self.x if node.label.letter == "x" and node.label.time == 0 else self.old[node.label.letter]
        if node.kind == "output":
            return terms[0]
        if node.kind == "parameter":
            return self.v[node.label.sub] if isinstance(node.label, Name) else np.full(H, float(node.label))
        if node.kind == "operation":
            first = terms[0]
            read = {"+": sum(terms), "⊙": np.prod(terms, axis=0), "÷": np.prod(terms, axis=0)}
            return (read | {"1−": 1 - first, "−": -first, "( )²": first**2})[node.label]
        if node.label == "max":
            return np.maximum(*terms)
        total = torch.tensor(np.sum(terms, axis=0))
        return getattr(torch, {"σ": "sigmoid"}.get(node.label, node.label), torch.nn.functional.softplus)(total).numpy()


@pytest.mark.parametrize("cell", EVERY)
def test_a_diagram_read_as_its_legend_says_computes_the_step(cell):
    numbers = Numbers(cell)
    expected, got = numbers.step(), numbers.read(flow(trace(cell)))
    assert set(cell.state) <= set(got)
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name].numpy(), rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("cell", [tidegate.cells.GRU, Everything])
def test_a_wrong_arrow_is_found(cell):
    numbers, drawn = Numbers(cell), flow(trace(cell))
    expected = numbers.step()
    for k, arrow in enumerate(drawn.arrows):
        if isinstance(arrow.label, Name) and arrow.label.letter in ("W", "U"):
            others = [g for g in cell.gates if g != arrow.label.sub]
            drawn.arrows[k] = Arrow(arrow.source, arrow.target, Name(arrow.label.letter, others[0]))
            got = numbers.read(drawn)
            assert any(not np.allclose(got[s], expected[s].numpy()) for s in cell.state)
            drawn.arrows[k] = arrow


def test_a_part_shows_only_what_the_named_gates_are_computed_from():
    step = trace(tidegate.cells.GRU)
    gates = flow(step, ("r", "z"))
    assert [n.label for n in gates.nodes if n.kind == "output"] == [Name("r", time=0), Name("z", time=0)]
    assert [n.label for n in gates.nodes if n.kind in ("function", "operation")] == ["σ", "σ"]
    candidate = flow(step, ("z", "n"))
    assert [n.label for n in candidate.nodes if n.kind in ("function", "operation")] == ["σ", "σ", "⊙", "tanh"]
    assert {n.label.letter for n in flow(trace(tidegate.cells.LSTM), ("i",)).nodes if n.kind == "input"} == {"h", "x"}


def test_a_part_that_does_not_exist_is_an_error_that_lists_the_names():
    with pytest.raises(ArgumentError, match="`until` must be names of gates and states, r, z, n, h, got 'k'"):
        flow(trace(tidegate.cells.GRU), ("k",))


def test_equations_that_nobody_could_read_as_a_picture_are_refused():
    class Long(tidegate.Cell):
        gates = ("n",)
        state = ("h",)

        def equations(a, U, h):
            for _ in range(400):
                h = tidegate.tanh(h) * h
            return (h + a.n,), (a.n,)

    with pytest.raises(EquationError, match="more than 150 nodes"):
        flow(trace(Long))
