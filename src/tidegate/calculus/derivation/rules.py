"""The derivatives of the functions that occur in a step."""

from tidegate.calculus import operations
from tidegate.calculus.derivation.formula import Apply, Formula, Name, Number, Partial, Quotient, Sum, write
from tidegate.calculus.derivation.parts import Equation, Part
from tidegate.calculus.derivation.roles import everything
from tidegate.calculus.derivation.setting import Setting
from tidegate.calculus.derivative import pull_back
from tidegate.calculus.expression import apply, constant, subgraph, symbol

LOGISTIC = Quotient(Number(1), Sum(((1, Number(1)), (1, Apply("exp", (Sum(((-1, Name("x")),)),))))))


def rules(setting: Setting) -> list[Part]:
    """f'(x) for every function of the step, and what sigmoid, step and sign are where they occur."""
    used = list(dict.fromkeys(e.op for e in everything(setting.step) if e.args))
    functions = [operations.find(op) for op in used if operations.find(op).sign is None and op != "neg"]
    x, y = symbol("x"), symbol("y")
    body: list[Part] = []
    for operation in functions:
        arguments = (x, y)[: operation.arity]
        value = apply(operation.name, *arguments)
        names: dict = {x: Name("x"), y: Name("y")}
        printed = operation.printed or operation.name
        left: Formula = Apply(printed, tuple(names[a] for a in arguments))
        for argument, slope in zip(arguments, pull_back(value, constant(1))):
            body.append(Equation((Partial(left, names[argument]), write(slope, names))))
    if not body:
        return []
    found: list[Part] = [setting.sentence("rules"), *body]
    occurring = {*used, *(e.op for op in functions for e in slopes_of(op.name, op.arity))}
    for op in ("sigmoid", "step", "sign"):
        if op in occurring:
            found.append(setting.sentence(f"define {op}", f=Apply(op, (Name("x"),)), x=Name("x"), value=LOGISTIC))
    return found


def slopes_of(op: str, arity: int) -> list:
    arguments = (symbol("x"), symbol("y"))[:arity]
    return subgraph(pull_back(apply(op, *arguments), constant(1)))
