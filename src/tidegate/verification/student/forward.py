"""Mistakes in the forward pass: other equations, gates in another order, a bias or the initial state left out.

The gradients of such a program can be right for the function that it computes, which is not the cell's.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import permutations

import numpy as np

from tidegate.calculus import Expression, Step, infix, trace
from tidegate.calculus.expression import apply, subgraph
from tidegate.calculus.ranges import range_of
from tidegate.calculus.step import make_step
from tidegate.calculus.substitution import substitute
from tidegate.cells import CELLS
from tidegate.engines.reference.functions import Array
from tidegate.engines.reference.problem import Parameters
from tidegate.errors import EquationError
from tidegate.verification.student.mistake import Gradients, Hypothesis, Mistake
from tidegate.verification.student.terms import SWAPPED
from tidegate.verification.student.trajectory import Key, Start, forward_pass, sweep

MOST_ORDERED = 4  # gates of which every order is tried
Blocks = Mapping[Key, Array]


def forward_mistakes(start: Start) -> Iterator[Hypothesis]:
    yield from other_equations(start)
    yield from other_parameters(start)
    yield from other_order(start)


def hypothesis(
    kind: str,
    text: str,
    start: Start,
    *,
    step: Step | None = None,
    parameters: Parameters | None = None,
    states: Mapping[str, Array] | None = None,
    returned: Callable[[Blocks], Blocks] = dict,
) -> Hypothesis:
    """The gradients for another step, other parameters or other initial states; `returned` renames their blocks."""
    numbers = replace(
        start.numbers, step=step or start.step, parameters=parameters or start.numbers.parameters,
        states=states or start.numbers.states,
    )  # fmt: skip

    def compute() -> Gradients:
        return Gradients(returned(sweep(forward_pass(numbers, start.dy, start.bias)).blocks))

    return Hypothesis(Mistake(kind, f"in the forward pass, {text}"), compute)


def other_equations(start: Start) -> Iterator[Hypothesis]:
    """Those of another cell with the same parameters; a gate's complement; another or no activation function."""
    step = start.step
    names = ("gates", "state", "vectors", "inputs", "products")
    for name, cell in CELLS.items():
        other = trace(cell)
        if other is not step and all(getattr(other, n) == getattr(step, n) for n in names):
            text = f"the equations are those of {name}: {equations_of(other)}; expected {equations_of(step)}."
            yield hypothesis("equations of another cell", text, start, step=other)
    printed = step.names()
    replacements: list[tuple[str, str, Expression, Expression]] = []
    for g, e in step.gate.items():
        if range_of(e) == (0.0, 1.0):
            text = f"1 - {g} is written where {g} belongs, and {g} for 1 - {g}; expected {equations_of(step)}."
            replacements.append(("gate in the other convention", text, e, 1 - e))
    for e in dict.fromkeys(subgraph([*step.new.values(), *step.gate.values()])):
        if e.op in SWAPPED:
            right = infix(e, printed)
            kind = "missing activation function"
            replacements.append((kind, f"{e.op} is left out; expected {right}.", e, e.args[0]))
            kind, swapped = "wrong activation function", SWAPPED[e.op]
            replacements.append(
                (kind, f"{swapped} is written for {e.op}; expected {right}.", e, apply(swapped, *e.args))
            )
    for kind, text, e, instead in replacements:
        other = rewritten(step, e, instead)
        if other is not None:
            yield hypothesis(kind, text, start, step=other)


def rewritten(step: Step, e: Expression, instead: Expression) -> Step | None:
    """The step with a part of its equations replaced; None where what is left is not a cell."""
    operands = {g: stage.operand for stage in step.stages for g in stage.gates}
    every = [*operands.values(), *step.gate.values(), *step.new.values()]
    found = iter(substitute(every, {e: instead}))
    new_operands, gate, new = ({n: next(found) for n in group} for group in (operands, step.gate, step.new))
    try:
        return make_step(step.name, step.gates, step.state, step.vectors, new_operands, gate, new)
    except EquationError:  # for example a gate that nothing reads any more: then this is no mistake to look for
        return None


def equations_of(step: Step) -> str:
    return ", ".join(line.strip() for line in str(step).splitlines()[1:] if not line.strip().startswith("q_"))


def other_parameters(start: Start) -> Iterator[Hypothesis]:
    """U is transposed, a bias is left out, the initial state is zero."""
    step, P, numbers = start.step, start.numbers.parameters, start.numbers
    if step.products:

        def transposed(blocks: Blocks) -> Blocks:
            return {key: d.T if key[0] == "dweight_hh" else d for key, d in blocks.items()}

        text = "U is transposed: h U is computed where U h, in NumPy h @ U.T, belongs."
        turned = replace(P, U={g: U.T for g, U in P.U.items()})
        for returned in (transposed, dict):
            yield hypothesis("transposed weight", text, start, parameters=turned, returned=returned)
    for name, group in (("bias_ih", "b"), ("bias_hh", "c")) if start.bias else ():
        zero = {g: np.zeros_like(b) for g, b in getattr(P, group).items()}
        text = f"{name} is left out."
        if any(np.any(b) for b in getattr(P, group).values()):
            yield hypothesis("missing bias", text, start, parameters=replace(P, **{group: zero}))
    zeros = {s: np.zeros_like(value) for s, value in numbers.states.items()}
    text = f"the initial state is zero; expected {', '.join(f'{s}_0' for s in step.state)} of the arrays."
    yield hypothesis("missing initial state", text, start, states=zeros)


def other_order(start: Start) -> Iterator[Hypothesis]:
    """The blocks of the parameters are read in another order of the gates."""
    step, P = start.step, start.numbers.parameters
    gates = step.gates
    if not step.inputs == step.products == gates or len(gates) > MOST_ORDERED:
        return
    for order in permutations(gates):
        if order == gates:
            continue
        read = dict(zip(order, gates))  # gate -> the gate whose block is read for it
        groups = {group: {g: getattr(P, group)[read[g]] for g in gates} for group in ("W", "U", "b", "c")}

        def returned(read: Mapping[str, str], blocks: Blocks) -> Blocks:
            packed = ("dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh")
            renamed = {(n, read[g]) if n in packed else (n, g): d for (n, g), d in blocks.items()}
            return {key: renamed[key] for key in blocks}

        text = (
            f"the rows of the parameters are read in the order {', '.join(order)}; their order is {', '.join(gates)}."
        )
        yield hypothesis(
            "gates in another order", text, start, parameters=replace(P, **groups), returned=partial(returned, read)
        )
