"""Tracing: a cell's equations run once on symbolic values and become a Step."""

import inspect
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from tidegate.calculus.expression import Expression, as_expression, leaf
from tidegate.calculus.step import Step, check_names, make_step
from tidegate.cells.cell import Cell
from tidegate.errors import EquationError


class Namespace:
    """`a`, `U` or `v` of the equations: one attribute for each declared name, and an EquationError for any other."""

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
                    f"U.{gate} multiplies two different operands, {operands[gate]!r} and {operand!r}; "
                    "each gate has one recurrent matrix: declare a second gate for the second product"
                )
            return leaf("product", gate)

        return apply

    a = Namespace("a", cell.gates, lambda gate: leaf("input", gate))
    U = Namespace("U", cell.gates, product)
    v = (Namespace("v", cell.vectors, lambda name: leaf("vector", name)),) if cell.vectors else ()
    old = {s: leaf("state", s) for s in cell.state}
    try:
        returned = cell.equations(a, U, *v, *old.values())
    except Exception as error:  # anything that the user's equations raise is reported with the line
        raise EquationError(f"{cell.__name__}.equations, {where(cell, error)}: {remedy(error)}") from error
    new, gate = check_returned(cell, returned)
    here = f"{cell.__name__}.equations, {where(cell)}"
    return make_step(cell.__name__, cell.gates, cell.state, cell.vectors, operands, gate, new, here)


def check_declaration(cell: type[Cell]) -> None:
    check_names(cell.__name__, *(getattr(cell, field, None) for field in ("gates", "state", "vectors")))
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
