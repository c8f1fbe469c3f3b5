"""The names of the values of a step and of its adjoint at a time: r_t, h_{t-1}, dq_{n,t}."""

from collections.abc import Sequence

from tidegate.calculus.adjoint import Adjoint
from tidegate.calculus.derivation.formula import Formula, Name, Transpose, product, total, write
from tidegate.calculus.expression import Expression
from tidegate.calculus.step import Step

X = Name("x", time=0)


def values(step: Step, time: int | str = 0) -> dict[Expression, Formula]:
    """The forward values of step t + `time`, or of the step "1"."""
    before = time - 1 if isinstance(time, int) else str(int(time) - 1)
    named: dict[Expression, Formula] = {e: Name(s, time=time) for s, e in step.new.items()}
    named |= {e: Name(g, time=time) for g, e in step.gate.items()}
    named |= {e: Name("a", g, time) for g, e in step.a.items()} | {e: Name("q", g, time) for g, e in step.q.items()}
    named |= {e: Name(s, time=before) for s, e in step.old.items()}
    return named | {e: Name("v", n) for n, e in step.v.items()}


def written_out(step: Step) -> dict[Expression, Formula]:
    """As `values`, with the pre-activations written out: W_g x + b_g and U_g p + c_g."""
    named = values(step)
    named |= {e: total([product([Name("W", g), X], matrix=True), Name("b", g)]) for g, e in step.a.items()}
    for stage in step.stages:
        p = write(stage.operand, named, outermost=False)
        named |= {step.q[g]: total([product([Name("U", g), p], matrix=True), Name("c", g)]) for g in stage.gates}
    return named


def cotangents(rule: Adjoint, time: int | str = 0) -> dict[Expression, Formula]:
    """The gradients that the backward pass computes at step t + `time`, and the forward values."""
    step = rule.step
    named: dict[Expression, Formula] = {e: Name("q", g, time, d=True) for g, e in rule.dq.items()}
    named |= {e: Name("a", g, time, d=True) for g, e in rule.da.items()}
    named |= {rule.cotangent[e]: Name(g, time=time, d=True) for g, e in step.gate.items() if e in rule.cotangent}
    named |= {rule.cotangent[e]: Name(s, time=time, d=True) for s, e in step.new.items()}
    named |= {e: Name(s, time=time, d=True) for s, e in rule.d_new.items()}
    for d, stage in zip(rule.d_p, step.stages):
        named[d] = total(
            [product([Transpose(Name("U", g)), Name("q", g, time, d=True)], matrix=True) for g in stage.gates]
        )
    return named | values(step, time)


def index_of(step: Step) -> str:
    """An index letter that stands for any gate and is not the name of a gate."""
    return next(letter for letter in "gkjm" if letter not in step.gates)


def listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
