"""The functions that occur in a step: their definitions and their derivatives."""

from collections.abc import Iterator

from tidegate.calculus import operations
from tidegate.calculus.derivation.formula import Apply, Formula, Name, Number, Partial, Quotient, Sum, write
from tidegate.calculus.derivation.parts import Equation, Part
from tidegate.calculus.derivation.roles import everything
from tidegate.calculus.derivation.setting import Setting
from tidegate.calculus.derivative import pull_back
from tidegate.calculus.expression import Expression, apply, constant, subgraph, symbol
from tidegate.calculus.operations import Operation
from tidegate.calculus.step import Step

LOGISTIC = Quotient(Number(1), Sum(((1, Number(1)), (1, Apply("exp", (Sum(((-1, Name("x")),)),))))))


def rules(setting: Setting) -> list[Part]:
    """The derivative of every function of the step."""
    body: list[Part] = []
    for operation, arguments, slopes in derivatives(setting.step):
        names: dict[Expression, Formula] = {x: Name(str(x.name)) for x in arguments}
        left = Apply(operation.printed or operation.name, tuple(names[x] for x in arguments))
        for x, slope in zip(arguments, slopes):
            body.append(Equation((Partial(left, names[x]), write(slope, names))))
    return [setting.sentence("rules"), *body] if body else []


def definitions(setting: Setting) -> list[Part]:
    """What sigmoid, step and sign are, where they occur in the step or in its derivatives."""
    occurring = {e.op for e in everything(setting.step)}
    occurring |= {e.op for _, _, slopes in derivatives(setting.step) for e in subgraph(slopes)}
    x = Name("x")
    return [
        setting.sentence(f"define {op}", f=Apply(op, (x,)), x=x, value=LOGISTIC)
        for op in ("sigmoid", "step", "sign")
        if op in occurring
    ]


def derivatives(step: Step) -> Iterator[tuple[Operation, tuple[Expression, ...], list[Expression]]]:
    """The functions of the step that have no sign of their own, their arguments, and their derivatives."""
    for op in dict.fromkeys(e.op for e in everything(step) if e.args):
        operation = operations.find(op)
        if operation.sign is None and op != "neg":
            arguments = tuple(map(symbol, "xy"[: operation.arity]))
            yield operation, arguments, pull_back(apply(op, *arguments), constant(1))
