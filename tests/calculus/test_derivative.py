"""The table of derivatives, against finite differences, and the reverse sweep, against SymPy."""

import math

import pytest
import sympy

from tidegate.calculus import adjoint, evaluate, trace
from tidegate.calculus.derivative import add_up, gradients
from tidegate.calculus.expression import Expression, constant, infix, symbol
from tidegate.calculus.operations import TABLE
from tidegate.cells import CELLS
from tidegate.engines.reference.functions import OPERATIONS

x, y, d = map(symbol, "xyd")


def value(e, **at):
    return float(evaluate([e], {symbol(name): v for name, v in at.items()}, OPERATIONS)[0])


@pytest.mark.parametrize("operation", TABLE, ids=lambda operation: operation.name)
@pytest.mark.parametrize("at", [(0.7, 1.3), (1.9, 0.4), (-1.2, -0.3)])
def test_a_derivative_equals_finite_differences(operation, at):
    op = operation.name
    if op in ("log", "sqrt", "log1p"):
        at = tuple(map(abs, at))
    symbols, step = (x, y)[: operation.arity], 1e-6
    e = Expression(op, *symbols)
    found = gradients([(e, d)], symbols)
    point = dict(zip("xy", at))
    for s in symbols:
        up, down = ({**point, s.name: point[s.name] + sign * step} for sign in (1, -1))
        central = (value(e, **up) - value(e, **down)) / (2 * step)
        assert value(found[s], d=3.0, **point) == pytest.approx(3 * central, rel=1e-8, abs=1e-8)


def test_at_a_kink_the_derivatives_are_torchs():
    import torch

    for op, torch_op in {"relu": torch.relu, "abs": torch.abs, "maximum": torch.maximum}.items():
        symbols = (x, y) if op == "maximum" else (x,)
        leaves = [torch.zeros((), requires_grad=True) for _ in symbols]
        torch_op(*leaves).backward()
        found = gradients([(Expression(op, *symbols), constant(1))], symbols)
        assert [value(found[s], x=0.0, y=0.0) for s in symbols] == [float(leaf.grad) for leaf in leaves]


def test_a_leaf_that_is_not_reached_has_gradient_zero():
    assert gradients([(x, d)], [y])[y] is constant(0)


def test_common_factors_are_taken_out_and_a_positive_term_comes_first():
    n, h, z = map(symbol, "nhz")
    found = gradients([((1 - z) * n + z * h, d)], [z, n, h])
    assert infix(found[z]) == "d * (h - n)"
    assert infix(found[n]) == "d * (1 - z)"
    assert infix(add_up([-(x * y), d * x])) == "x * (d - y)"
    assert infix(add_up([-x, -(x * y)])) == "-x * (1 + y)"


FUNCTIONS = {
    "constant": sympy.Float,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "maximum": sympy.Max,
    "exp": sympy.exp,
    "log": sympy.log,
    "log1p": lambda a: sympy.log(1 + a),
    "sqrt": sympy.sqrt,
    "abs": sympy.Abs,
    "sigmoid": lambda a: 1 / (1 + sympy.exp(-a)),
    "tanh": sympy.tanh,
    "relu": lambda a: sympy.Max(a, 0),
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_adjoint_equals_the_derivatives_of_sympy(cell):
    """For one unit: L = sum of d_s * s' + d_p * operand, written by SymPy, differentiated by SymPy."""
    step = trace(cell)
    back = adjoint(step)
    leaves = {**{f"a_{g}": e for g, e in step.a.items()}, **{f"q_{g}": e for g, e in step.q.items()}}
    leaves |= dict(step.old) | {f"v_{n}": e for n, e in step.v.items()}
    cotangents = {*back.d_new.values(), *back.d_p}
    symbols = {e: sympy.Symbol(f"{e.kind} {e.name}", real=True) for e in [*leaves.values(), *cotangents]}
    outputs = [*step.new.values(), *(stage.operand for stage in step.stages)]
    L = sum(
        symbols[c] * e
        for c, e in zip([*back.d_new.values(), *back.d_p], evaluate(outputs, symbols, FUNCTIONS), strict=True)
    )
    at = {e: 0.1 + 0.17 * k * (-1) ** k for k, e in enumerate(symbols)}
    numbers = {symbols[e]: v for e, v in at.items()}
    derived = {**{f"q_{g}": e for g, e in back.dq.items()}, **{f"a_{g}": e for g, e in back.da.items()}}
    derived |= dict(back.d_old) | {f"v_{n}": e for n, e in back.dv.items()}
    for name, e in derived.items():
        # a product is a leaf that the operand's cotangent does not run through
        by_sympy = float(sympy.diff(L, symbols[leaves[name]]).subs(numbers).evalf(30))
        (ours,) = evaluate([e], at, OPERATIONS)
        assert math.isclose(float(ours), by_sympy, rel_tol=1e-12, abs_tol=1e-13), name
