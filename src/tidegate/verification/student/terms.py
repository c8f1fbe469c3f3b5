"""Mistakes inside a step of the backward pass: its terms and their local derivatives, planted in the Adjoint."""

from collections.abc import Callable, Iterator
from functools import partial

from tidegate.calculus import Adjoint, Expression, Step, adjoint, infix, operations
from tidegate.calculus.adjoint import differentiate
from tidegate.calculus.derivative import add_up, pull_back, signed_factors
from tidegate.calculus.expression import apply, as_expression, constant, subgraph
from tidegate.calculus.substitution import substitute
from tidegate.verification.plant import cotangent_name, element_wise_terms
from tidegate.verification.student.mistake import Hypothesis, hypothesis
from tidegate.verification.student.trajectory import Start, Trajectory, sweep

LINEAR = ("add", "sub", "neg")
SWAPPED = {"tanh": "sigmoid", "sigmoid": "tanh"}


def term_mistakes(start: Start) -> Iterator[Hypothesis]:
    yield from terms(start)
    yield from derivatives(start)


def without_next(step: Step, s: str) -> tuple[str, str]:
    """The kind and text of the mistake that the gradient of one state does not come back from the next step."""
    back = infix(adjoint(step).d_old[s], adjoint(step).names())
    text = f"d{s} of step t lacks what comes back from {s} of step t + 1; expected {back}, all of step t + 1."
    return f"missing gradient of the next step's {s}", text


Change = Callable[[Expression, Expression], Expression]


def changed(step: Step, key: tuple[Expression, Expression | None], change: Change) -> Adjoint:
    """The Adjoint with one term changed: `change` gets the gradient with respect to its source, and the term."""
    arrived: dict[Expression, list[Expression]] = {}

    def each(target: Expression, source: Expression | None, term: Expression) -> Expression:
        if (target, source) == key:
            term = change(add_up(arrived[source]) if source is not None else term, term)
        arrived.setdefault(target, []).append(term)
        return term

    return differentiate(step, each=each)


def sweep_with(start: Start, key: tuple[Expression, Expression | None], change: Change) -> Trajectory:
    """The sweep with one term of the Adjoint changed."""
    return sweep(start, changed(start.step, key, change))


def terms(start: Start) -> Iterator[Hypothesis]:
    """A term of the backward step is left out or has the wrong sign."""
    step = start.step
    for name, target, source in element_wise_terms(step):
        gradient, term = gradient_name(step, target), name.partition(": ")[2]
        key = target, source
        carried = source is None and next((s for s in step.state[1:] if step.new[s] is target), None)
        kind, text = "missing term", f"the term {term} is left out of {gradient}."
        kind, text = without_next(step, carried) if carried else (kind, text)
        yield hypothesis(kind, text, step, partial(sweep_with, start, key, lambda d, term: constant(0)))
        text = f"the term of {gradient} has the wrong sign; expected {term}."
        yield hypothesis("wrong sign", text, step, partial(sweep_with, start, key, lambda d, term: -term))


def derivatives(start: Start) -> Iterator[Hypothesis]:
    """The local derivative of a term is left out, incomplete, of another function, or taken at the wrong value."""
    step = start.step
    for name, target, source in element_wise_terms(step):
        if source is None or source.op in LINEAR:
            continue
        gradient, term = gradient_name(step, target), name.partition(": ")[2]
        names, position = step.names(), source.args.index(target)
        local = pull_back(source, constant(1))[position]
        function = len(source.args) == 1
        factor = infix(local, names, outermost=False)
        what = f"the derivative of {source.op}, {factor}," if function else f"the factor {factor}"

        def planted(kind: str, text: str, slope: Expression, key: tuple = (target, source)) -> Hypothesis:
            return hypothesis(kind, text, step, partial(sweep_with, start, key, lambda d, term: d * slope))

        kind = "missing derivative of an activation function" if function else "missing factor"
        yield planted(kind, f"{what} is left out of {gradient}; expected {term}.", constant(1))
        if not function:
            if local.op in SWAPPED and local not in step.gate.values():
                text = f"in {gradient}, {local.op} is left out of the factor {factor}; expected {term}."
                yield planted("missing activation function", text, local.args[0])
            continue
        for kind, wrong, text in wrong_slopes(step, source, local):
            yield planted(kind, f"in {gradient}, {text}; expected {factor}.", wrong)


def gradient_name(step: Step, e: Expression) -> str:
    """The name of the gradient with respect to `e`: that of a pre-activation where the two are the same."""
    rule = adjoint(step)
    same = [f"da_{g}" for g in step.inputs if rule.da[g] is rule.cotangent.get(e)]
    same += [f"dq_{g}" for g in step.products if rule.dq[g] is rule.cotangent.get(e)]
    own = {*step.gate.values(), *step.new.values()}
    return same[0] if same and e not in own else cotangent_name(step, e)


Slope = tuple[str, Expression, str]


def wrong_slopes(step: Step, y: Expression, local: Expression) -> Iterator[Slope]:
    """(kind, expression, text): wrong expressions for the derivative of y = f(x), and how each is wrong."""
    (x,), names, f = y.args, step.names(), y.op
    kind = "wrong derivative of an activation function"
    at_x, at_f = (substitute([local], {y: e})[0] for e in (x, apply(f, y)))
    yield kind, at_x, f"the derivative of {f} is computed from its argument {infix(x, names)}, not from its value"
    yield kind, at_f, f"{f} is applied to {infix(y, names, outermost=False)} once more inside its derivative"
    for s, e in step.new.items():
        if e is y:
            text = f"the derivative of {f} is computed from {s}_{{t-1}}, before the step, where {s}_t belongs"
            yield "h_{t-1} in the place of h_t", substitute([local], {y: step.old[s]})[0], text
    if f in SWAPPED:
        derivative = operations.find(SWAPPED[f]).derivative
        assert derivative is not None
        other = as_expression(derivative(constant(1), y, x)[0])
        yield kind, other, f"{infix(other, names)} is the derivative of {SWAPPED[f]}, not of {f}"
    _, factors = signed_factors(local, ())
    if len(factors) == 2:
        for missing, left in (factors, factors[::-1]):
            yield kind, left, f"the factor {infix(missing, names)} of the derivative of {f} is left out"
    for e in subgraph([local]):
        if e.op == "sub":
            wrong = substitute([local], {e: e.args[0] + e.args[1]})[0]
            yield kind, wrong, f"{infix(wrong, names)} has the wrong sign, as derivative of {f}"
    if f == "tanh":
        yield kind, 1 - y, f"the square is left out of the derivative of {f}"
