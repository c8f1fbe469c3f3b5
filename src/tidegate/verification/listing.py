"""All numbers of a problem in tables: NumPy beside torch.nn and torch's autograd, with the difference in each row."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from tidegate.calculus import Step, adjoint
from tidegate.calculus.expression import infix
from tidegate.engines.reference.functions import Array
from tidegate.verification.numbers import Numbers, by_equations, by_numpy, by_torch_nn, operand_of
from tidegate.verification.plant import plant
from tidegate.verification.problem import Problem
from tidegate.verification.values import blocks

GIVEN = "given"
COLUMNS = ("NumPy BPTT", "torch.nn", "torch autograd")
MOST_ROWS = 128  # of a table; of a longer one the first and the last rows are printed, and the largest difference
ENDS = 8
#: Parameters: their letter, torch's name, and the axes of the block of one gate.
PACKED = MappingProxyType({
    "W_ih": ("W", "weight_ih", ("H", "D")), "W_hh": ("U", "weight_hh", ("H", "H")), "b_ih": ("b", "bias_ih", ("H",)),
    "b_hh": ("c", "bias_hh", ("H",)), "v": ("v", "vector", ("H",)), "W_hr": ("R", "weight_hr", ("P", "H")),
})  # fmt: skip


@dataclass(frozen=True)
class Table:
    """One quantity: its name, equation, axes, and its array in each column; inputs have the one column GIVEN."""

    name: str
    equation: str
    axes: tuple[str, ...]
    columns: Mapping[str, Array]

    @property
    def shape(self) -> tuple[int, ...]:
        return next(iter(self.columns.values())).shape

    @property
    def differences(self) -> Array:
        """The largest difference between two columns, for each entry."""
        return np.ptp(np.stack(list(self.columns.values())), axis=0)

    @property
    def largest(self) -> tuple[int, ...]:
        """The index of the largest difference."""
        return tuple(map(int, np.unravel_index(np.argmax(self.differences), self.shape)))

    def lines(self) -> Iterator[str]:
        title = f"{self.name}: {self.equation}; {' x '.join(self.axes)} = {' x '.join(map(str, self.shape))}"
        if len(self.columns) == 1:
            yield title + ("" if GIVEN in self.columns else f"; {next(iter(self.columns))} only")
            yield from self.vectors()
            return
        yield title
        yield f"largest difference {self.differences[self.largest]:.1e} at {list(self.largest)}"
        index = "".join(f"{axis:>4}" for axis in self.axes)
        yield index + "".join(f"{column:>18}" for column in self.columns) + f"{'difference':>12}"
        chosen = abbreviated(list(np.ndindex(self.shape)), MOST_ROWS, ENDS, self.largest)
        for row in chosen:
            yield f"{'...':>{len(index)}}" if row is None else self.row(row)

    def row(self, index: tuple[int, ...]) -> str:
        values = "".join(f"{array[index]:18.9g}" for array in self.columns.values())
        return "".join(f"{i:>4}" for i in index) + values + f"{self.differences[index]:12.1e}"

    def vectors(self) -> Iterator[str]:
        """The array of one column, a vector in each line."""
        (array,) = self.columns.values()
        for row in abbreviated(list(np.ndindex(array.shape[:-1])), MOST_ROWS // 4, ENDS):
            if row is None:
                yield f"{'...':>14}"
                continue
            numbers = abbreviated([f"{number:12.7g}" for number in array[row]], ENDS, ENDS // 2)
            yield f"{list(row) if row else ''!s:>14}" + "".join("  ..." if n is None else n for n in numbers)


@dataclass(frozen=True)
class Listing:
    """The tables of a problem, by section."""

    sections: Mapping[str, tuple[Table, ...]]

    @property
    def largest(self) -> Table:
        """The table with the largest difference between two columns."""
        compared = [t for tables in self.sections.values() for t in tables if len(t.columns) > 1]
        return max(compared, key=lambda t: t.differences[t.largest])

    def __str__(self) -> str:
        lines: list[str] = []
        for section, tables in self.sections.items():
            lines += [section.upper(), ""]
            for table in tables:
                lines += [*table.lines(), ""]
        return "\n".join([*lines, *self.overview()])

    def overview(self) -> Iterator[str]:
        """One line for each compared table, and the largest difference of all."""
        yield f"{'LARGEST DIFFERENCES':22}{'difference':>10}   at"
        for tables in self.sections.values():
            for t in tables:
                if len(t.columns) > 1:
                    yield f"{t.name:22}{t.differences[t.largest]:10.1e}   {list(t.largest)}, {', '.join(t.columns)}"
        worst = self.largest
        found = f"{worst.differences[worst.largest]:.1e}, {worst.name} at {list(worst.largest)}"
        yield f"Largest difference between two columns: {found}."

    def as_dict(self) -> dict[str, Any]:
        """Every array as nested lists, by section, quantity and column; for JSON."""
        return {
            section: {
                t.name: {"equation": t.equation, **{column: array.tolist() for column, array in t.columns.items()}}
                for t in tables
            }
            for section, tables in self.sections.items()
        }


def list_numbers(problem: Problem, planted: str | None = None) -> Listing:
    """The tables of a problem in float64; with an error planted in the term of that name in the column of NumPy."""
    step = problem.call.step
    numpy = by_numpy(problem, None if planted is None else plant(step, planted))
    found = {c: n for c, n in zip(COLUMNS, (numpy, by_torch_nn(problem), by_equations(problem))) if n}

    def table(key: tuple[str, str], name: str, equation: str, axes: str) -> Table:
        columns = {column: numbers[key] for column, numbers in found.items() if key in numbers}
        return Table(name, equation, tuple(axes.split()), columns)

    return Listing({
        "Inputs and weights": tuple(given(problem)),
        "Forward, step by step": tuple(table(*each, "t b j") for each in forward_rows(step)),
        "Gradients, step by step": tuple(table(*each, "t b j") for each in backward_rows(step, in_loss(problem))),
        "Gradients": tuple(table(*each) for each in totals(step, numpy)),
    })  # fmt: skip


def given(problem: Problem) -> Iterator[Table]:
    """The numbers that all columns begin with."""
    call, step = problem.call, problem.call.step
    T = ("T", "B")

    def table(name: str, equation: str, array: Any, *axes: str) -> Table:
        return Table(name, equation, axes, {GIVEN: array.detach().numpy()})

    yield table("x", "inputs" if not call.indexed else "class indices", call.x, *T, *(() if call.indexed else ("D",)))
    for s, tensor in zip(step.state, call.states):
        yield table(f"{s}_0", "initial state", tensor, "B", "H")
    leaves = {name: tensor for name, tensor in problem.leaves().items() if name in PACKED and tensor.numel()}
    for quantity, tensor in leaves.items():
        letter, name, axes = PACKED[quantity]
        for gate, block in blocks(step, f"d{quantity}", tensor.detach().numpy()):
            suffix, rows = (f"_{gate}", "rows of ") if gate else ("", "")
            yield Table(f"{letter}{suffix}", f"{rows}{name}", axes, {GIVEN: block})
    if call.lengths is not None:
        yield table("lengths", "steps of each sequence", call.lengths, "B")
    if call.resets is not None:
        yield table("resets", "1 where the states become zero", call.resets.int(), *T)
    yield table("dy", "gradient of the loss with respect to the outputs", problem.d_outputs, *T, "H")
    for s, tensor in in_loss(problem).items():
        yield table(f"d{s}_T", "gradient of the loss with respect to the final state", tensor, "B", "H")


def in_loss(problem: Problem) -> dict[str, Tensor]:
    """The gradients of the loss with respect to final states, of the states on which it depends directly."""
    return {s: d for s, d in zip(problem.call.step.state, problem.d_final) if d.any()}


Row = tuple[tuple[str, str], str, str]


def forward_rows(step: Step) -> Iterator[Row]:
    """(key, name, equation) of the values of a step, in the order in which they are computed."""
    names = step.names()
    for g in step.inputs:
        yield ("a", g), f"a_{g}", f"W_{g} x + b_{g}"
    for g in step.products:
        if step.stages[step.stage_of(g)].operand.op != "leaf":
            yield ("p", g), f"p_{g}", f"{operand_of(step, g)}, the operand of U_{g}"
        yield ("q", g), f"q_{g}", f"U_{g} {in_brackets(step, g)} + c_{g}"
    for g, e in step.gate.items():
        yield ("gate", g), g, infix(e, names)
    for s, e in step.new.items():
        own = names[e] if names[e] != f"{s}'" else infix(e, names)
        yield ("state", s), s, f"state after the step, {s}' = {own}"


def backward_rows(step: Step, final: Collection[str]) -> Iterator[Row]:
    """(key, name, equation) of the gradients of a step, in the order in which they are computed.

    `final`: the states whose final values are in the loss.
    A gate that is a new state, and a product whose gradient is that of its input term, have no row of their own.
    """
    rule = adjoint(step)
    names = rule.names()
    for s in reversed(step.state):
        d, sources = rule.cotangent[step.new[s]], "dy_t and from " * (s == step.state[0])
        last = f" (last step: d{s}_T)" if s in final else ""
        terms = "" if d is rule.d_new[s] else f", d{s}' in the equations below, = {infix(d, names)}"
        yield ("d_state", s), f"d{s}", f"dL/d{s}_t{terms}; d_{s} comes from {sources}step t + 1{last}"
    states = set(step.new.values())
    for g, e in step.gate.items():
        if e in rule.cotangent and e not in states:
            yield ("d_gate", g), f"d{g}", f"dL/d{g}_t = {infix(rule.cotangent[e], names)}"
        same = g in step.products and rule.dq[g] is rule.da.get(g)
        if g in step.inputs:
            yield ("da", g), f"da_{g}{f' = dq_{g}' if same else ''}", infix(rule.da[g], names)
        if g in step.products and not same:
            yield ("dq", g), f"dq_{g}", infix(rule.dq[g], names)


def totals(step: Step, found: Numbers) -> Iterator[tuple[tuple[str, str], str, str, str]]:
    """(key, name, equation, axes) of the gradients of inputs, states and parameters."""
    axes = {"dx": "t b d", "dW_ih": "j d", "dW_hh": "j k", "dW_hr": "p j"}
    for key in found:
        quantity, _, gate = key[1].rstrip("]").partition("[")
        if key[0] != "total" or not quantity.startswith("d") or quantity.endswith("_T"):
            continue
        p = in_brackets(step, gate) if gate in step.products else ""
        equation = {
            "dx": "sum over gates of W_g^T da_g", "dW_ih": f"sum over t and b of da_{gate} x^T",
            "dW_hh": f"sum over t and b of dq_{gate} {p}^T", "db_ih": f"sum over t and b of da_{gate}",
            "db_hh": f"sum over t and b of dq_{gate}", "dv": f"gradient of the vector v_{gate}",
            "dW_hr": "gradient of the projection",
        }.get(quantity, "gradient with respect to the initial state")  # fmt: skip
        default = "j" if gate else "b j"
        yield key, f"d{quantity[1:]}{f'[{gate}]' if gate else ''}", equation, axes.get(quantity, default)


def in_brackets(step: Step, gate: str) -> str:
    """The operand of a gate's recurrent product, in brackets unless it is a state."""
    operand = operand_of(step, gate)
    return operand if step.stages[step.stage_of(gate)].operand.op == "leaf" else f"({operand})"


def abbreviated(rows: list, most: int, ends: int, kept: Any = None) -> list:
    """`rows`, or the first and last `ends` of more than `most`, with `kept` between; None where rows are left out."""
    if len(rows) <= most:
        return rows
    middle = [None, kept] if kept is not None and kept in rows[ends:-ends] else []
    return [*rows[:ends], *middle, None, *rows[-ends:]]
