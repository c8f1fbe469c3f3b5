"""Tracing: a cell's equations run once on symbols and become a Step, stages of one matrix product each."""

import inspect
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from tidegate.calculus.expression import Expression, as_expression, infix, subgraph, symbol
from tidegate.cells.cell import Cell
from tidegate.errors import EquationError

Named = MappingProxyType[str, Expression]


@dataclass(frozen=True)
class Stage:
    """One matrix product of the step: q_g = p U_g + c_g for every gate g of `gates`, with p the `operand`."""

    operand: Expression
    gates: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """One time step of a cell: matrix products in stages, and element-wise expressions around them.

    Leaves: `a[g]` = x W_g + b_g, `q[g]` = the product of gate g, `old[s]` = a state before the step, `v[n]` = a
    per-unit vector. Values: `gate[g]`, `new[s]`. All are (B, H). `inputs` and `products` name the gates that have an
    `a` and a `q`, in the packed order of weight_ih and weight_hh. `stages` stand in the order in which they must run.
    """

    cell: type[Cell]
    inputs: tuple[str, ...]
    products: tuple[str, ...]
    stages: tuple[Stage, ...]
    a: Named
    q: Named
    old: Named
    v: Named
    gate: Named
    new: Named

    @property
    def name(self) -> str:
        return self.cell.__name__

    @property
    def gates(self) -> tuple[str, ...]:
        return self.cell.gates

    @property
    def state(self) -> tuple[str, ...]:
        return self.cell.state

    @property
    def vectors(self) -> tuple[str, ...]:
        return self.cell.vectors

    def names(self) -> dict[Expression, str]:
        """How expressions are called when they are printed: gates by their letter, new states with a prime."""
        named = {e: f"{s}'" for s, e in reversed(list(self.new.items()))}
        return named | {e: g for g, e in self.gate.items()}

    def stage_of(self, gate: str) -> int:
        """The index of the stage whose product holds `gate`."""
        return next(k for k, stage in enumerate(self.stages) if gate in stage.gates)

    def __str__(self) -> str:
        names = self.names()
        lines = [f"{self.name}: {len(self.stages)} matrix product{'s' * (len(self.stages) != 1)} a step"]
        for stage in self.stages:
            operand = infix(stage.operand, names, outermost=False)
            lines += [f"  q_{g} = ({operand}) U_{g} + c_{g}" for g in stage.gates]
        lines += [f"  {g} = {infix(e, names)}" for g, e in self.gate.items()]
        lines += [
            f"  {s}' = {names[e] if names[e] != s + chr(39) else infix(e, names)}"
            for s, e in reversed(list(self.new.items()))
        ]
        return "\n".join(lines)


class Namespace:
    """`a`, `U` or `v` of the equations: attributes by name, and a helpful error for a name that was not declared."""

    def __init__(self, kind: str, declared: tuple[str, ...], make: Callable[[str], Any]) -> None:
        self._kind, self._declared, self._make = kind, declared, make

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._declared:
            raise EquationError(
                f"{self._kind}.{name} is not declared; {'vectors' if self._kind == 'v' else 'gates'} = {self._declared}"
            )
        return self._make(name)


@cache
def trace(cell: type[Cell]) -> Step:
    """The Step of a cell, from its equations.

    Raises EquationError, with the cell, the line and the remedy, for equations that are not element-wise and
    differentiable, that leave a declared gate, vector or state out, or that use one U twice on different operands.
    """
    check_declaration(cell)
    operands: dict[str, Expression] = {}

    def product(gate: str) -> Callable[[Any], Expression]:
        def apply(operand: Any) -> Expression:
            operand = as_expression(operand)
            if operands.setdefault(gate, operand) is not operand:
                raise EquationError(
                    f"U.{gate} multiplies two different things, {operands[gate]!r} and {operand!r}; "
                    "each gate has one recurrent matrix: declare a second gate for the second product"
                )
            return symbol(f"q_{gate}")

        return apply

    a = Namespace("a", cell.gates, lambda gate: symbol(f"a_{gate}"))
    U = Namespace("U", cell.gates, product)
    v = (Namespace("v", cell.vectors, lambda name: symbol(f"v_{name}")),) if cell.vectors else ()
    old = {s: symbol(s) for s in cell.state}
    try:
        returned = cell.equations(a, U, *v, *old.values())
    except Exception as error:  # whatever a user's equations raise is reported with their line
        raise EquationError(f"{cell.__name__}.equations, {where(cell, error)}: {remedy(error)}") from error
    new, gate = check_returned(cell, returned)
    used = set(subgraph([*new.values(), *gate.values(), *operands.values()]))
    check_used(cell, used, new, gate)
    inputs = tuple(g for g in cell.gates if symbol(f"a_{g}") in used)
    products = tuple(g for g in cell.gates if g in operands)
    return Step(
        cell=cell,
        inputs=inputs,
        products=products,
        stages=tuple(in_stages({g: operands[g] for g in products})),
        a=MappingProxyType({g: symbol(f"a_{g}") for g in inputs}),
        q=MappingProxyType({g: symbol(f"q_{g}") for g in products}),
        old=MappingProxyType(old),
        v=MappingProxyType({name: symbol(f"v_{name}") for name in cell.vectors}),
        gate=MappingProxyType(gate),
        new=MappingProxyType(new),
    )


def in_stages(operands: dict[str, Expression]) -> Iterator[Stage]:
    """Gates of equal operand share a stage; a stage comes after every stage whose products its operand needs."""
    waiting = dict(operands)
    while waiting:
        ready = [g for g, p in waiting.items() if not any(symbol(f"q_{w}") in subgraph([p]) for w in waiting)]
        operand = waiting[ready[0]]
        gates = tuple(g for g in ready if waiting[g] is operand)
        yield Stage(operand, gates)
        for g in gates:
            del waiting[g]


def check_declaration(cell: type[Cell]) -> None:
    for attribute in ("gates", "state", "vectors"):
        names = getattr(cell, attribute, None)
        if not isinstance(names, tuple) or not all(isinstance(n, str) and n.isidentifier() for n in names):
            raise EquationError(f'{cell.__name__}.{attribute} must be a tuple of names such as ("h",), got {names!r}')
    if not cell.state or not cell.gates:
        raise EquationError(f"{cell.__name__} needs at least one state and one gate")
    for names in (cell.gates + cell.state, cell.vectors):
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise EquationError(
                f"{cell.__name__} declares {sorted(twice)} twice; give each gate and state its own name"
            )
    if not callable(getattr(cell, "equations", None)):
        raise EquationError(f"{cell.__name__} has no equations; write `def equations(a, U, {', '.join(cell.state)})`")
    expected = ["a", "U", *(["v"] if cell.vectors else []), *cell.state]
    got = list(inspect.signature(cell.equations).parameters)
    if len(got) != len(expected):
        raise EquationError(
            f"{cell.__name__}.equations, {where(cell)}: takes ({', '.join(got)}), expected ({', '.join(expected)}): "
            "the gates' inputs, the recurrent products, `v` if there are vectors, then each state; no self"
        )


def check_returned(cell: type[Cell], returned: Any) -> tuple[dict[str, Expression], dict[str, Expression]]:
    form = f"return {written([s + '_new' for s in cell.state])}, {written(cell.gates)}"
    here = f"{cell.__name__}.equations, {where(cell)}"
    if not (isinstance(returned, tuple) and len(returned) == 2 and all(isinstance(part, tuple) for part in returned)):
        raise EquationError(f"{here}: must return the tuple of new states and the tuple of gates: {form}")
    for kind, names, values in zip(("state", "gates"), (cell.state, cell.gates), returned):
        if len(values) != len(names):
            raise EquationError(f"{here}: returns {len(values)} of {kind} = {names}; write {form}")
        for name, value in zip(names, values):
            if not isinstance(value, Expression) or value.op == "constant":
                raise EquationError(
                    f"{here}: returns {value!r:.60} for {name!r}, which is not a traced value; write {form}"
                )
    return dict(zip(cell.state, returned[0])), dict(zip(cell.gates, returned[1]))


def written(names: Sequence[str]) -> str:
    """A tuple as Python writes it."""
    return f"({', '.join(names)}{',' * (len(names) == 1)})"


def check_used(
    cell: type[Cell], used: set[Expression], new: dict[str, Expression], gate: dict[str, Expression]
) -> None:
    here = f"{cell.__name__}.equations, {where(cell)}"
    reached = set(subgraph(list(new.values())))
    for g in cell.gates:
        own = {symbol(f"a_{g}"), symbol(f"q_{g}")}
        if not own & used:
            raise EquationError(
                f"{here}: gate {g!r} is declared but never used; use a.{g} and U.{g}(...), or remove it from gates"
            )
        if not own & set(subgraph([gate[g]])):
            raise EquationError(
                f"{here}: the value returned as gate {g!r} uses neither a.{g} nor U.{g}; "
                f"return the gates in the order of gates = {cell.gates}"
            )
    for name in cell.vectors:
        if symbol(f"v_{name}") not in used:
            raise EquationError(f"{here}: vector {name!r} is declared but never used; use v.{name}, or remove it")
    for s in cell.state:
        if new[s] is symbol(s):
            raise EquationError(
                f"{here}: state {s!r} is returned unchanged; return its new value, or remove it from state"
            )
    if not any(symbol(f"a_{g}") in reached for g in cell.gates):
        raise EquationError(f"{here}: no input reaches the new states; use a.{cell.gates[0]} in the equations")


def where(cell: type[Cell], error: Exception | None = None) -> str:
    """ "line N of file": where `error` left the equations, or where they begin."""
    code = inspect.unwrap(cell.equations).__code__
    line = code.co_firstlineno
    for frame in traceback.extract_tb(error.__traceback__) if error else ():
        if frame.filename == code.co_filename and frame.name == code.co_name and frame.lineno:
            line = frame.lineno
    return f"line {line} of {code.co_filename}"


def remedy(error: Exception) -> str:
    if isinstance(error, EquationError):
        return str(error)
    return (
        f"{type(error).__name__}: {error}. Equations are element-wise: + - * /, whole powers, numbers, and these of "
        "tidegate (not of torch, NumPy or math): sigmoid, tanh, relu, exp, log, log1p, sqrt, absolute, softplus, "
        "maximum, minimum"
    )
