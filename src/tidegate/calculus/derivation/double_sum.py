"""The error terms of one step's loss, the double sum over t and k, and why one sweep is enough."""

from tidegate.calculus.derivation.backward import lines, targets
from tidegate.calculus.derivation.chain import Chain
from tidegate.calculus.derivation.formula import (
    BLANK,
    Formula,
    Over,
    Partial,
    Product,
    Sum,
    Transpose,
    product,
    transposed,
    upright,
    write,
)
from tidegate.calculus.derivation.gradients import error_of, shares_error
from tidegate.calculus.derivation.notation.base import Time
from tidegate.calculus.derivation.parts import Equation, Part, Section
from tidegate.calculus.derivation.rules import rules
from tidegate.calculus.derivation.setting import Setting, in_lines


def double_sum_section(setting: Setting) -> Section:
    """From the gradient of one loss to the double sum over t and k, and to a sum over k."""
    step, notation = setting.step, setting.notation
    g = notation.sub(step.inputs[0])
    body: list[Part] = [setting.sentence("shared weights", W=upright(notation.W(g)), pre=notation.pre(g, "k"))]
    body += setting.each(
        step.inputs, lambda sub: definition(setting, notation.pre(sub, "k"), notation.pre_error(sub, "k", 0))
    )
    if not notation.nets:
        body += setting.each(
            step.products,
            lambda sub: definition(
                setting, notation.product(sub, "k"), notation.gradient(notation.product(sub, "k"), 0)
            ),
        )
    body = [item for item in body if not (isinstance(item, Equation) and item.parts[0] == item.parts[1])]
    body.append(setting.sentence("the sums"))
    x = Transpose(notation.x("k"))
    body += sums(setting, step.inputs, lambda sub: notation.W(sub), notation.pre_error, x)
    for stage in step.stages:
        p = Transpose(write(stage.operand, notation.values("k"), outermost=False))
        alike = [g for g in stage.gates if shares_error(setting, g)]
        body += sums(setting, alike, notation.U, lambda sub, k, t: error_of(setting, sub, k, t), p)
        for g in stage.gates:
            if g not in alike:
                body += sums(setting, [g], notation.U, lambda sub, k, t, g=g: notation.error("q", g, k, t), p)
    body.append(setting.sentence("biases"))
    return setting.section("double sum", body)


def definition(setting: Setting, of, error: Formula) -> Equation:
    return Equation((error, Partial(setting.notation.loss(0), of)), shape=("H",))


def sums(setting: Setting, gates, weight, error, side: Formula) -> list[Equation]:
    """dL/dW as a sum of the gradients of each loss, as a double sum, with its order changed, and as a sum over k."""
    L, Lt = setting.notation.loss(), setting.notation.loss(0)
    made: list[Equation] = []
    if not gates:
        return made

    def line(make, why) -> None:
        found = setting.each(gates, make)
        made.extend(Equation(e.parts, e.relation, e.shape, e.index, e.gates, why) for e in found)

    def over_t(body: Formula, low: str = "1") -> Formula:
        return Over("sum", "t", low, "T", body)

    def one(sub: str, t: Time | None = 0) -> Formula:
        return product([error(sub, "k", t), side], matrix=True)

    words = setting.words
    line(lambda sub: Equation((Partial(L, weight(sub)), over_t(Partial(Lt, weight(sub))))), words("sum of losses"))
    line(lambda sub: Equation((BLANK, over_t(Over("sum", "k", "1", "t", one(sub))))), words("every step"))
    line(
        lambda sub: Equation(
            (BLANK, Over("sum", "k", "1", "T", product([over_t(error(sub, "k", 0), "k"), side], matrix=True)))
        ),
        words("order"),
    )
    line(lambda sub: Equation((BLANK, Over("sum", "k", "1", "T", one(sub, None)))), words("total error"))
    return made


def error_section(setting: Setting) -> Section:
    """The recursion of the error terms of one loss, and their sum."""
    step, notation = setting.step, setting.notation
    h = step.state[0]
    body: list[Part] = [*rules(setting), setting.sentence("at k = t")]
    difference = Sum(((1, notation.prediction()), (-1, notation.target())))
    from_output = Product((transposed(notation.V()), difference), matrix=True)
    body.append(Equation((notation.gradient(notation.value(h), 0), from_output), why=setting.words("output layer")))
    for s in step.state[1:]:
        terms = Chain(notation).terms(step.new[s], 0, 0)
        own = [(term.value, setting.words("because", equation=term.equation)) for term in terms]
        body += in_lines(notation.gradient(notation.value(s), 0), own) if own else []
    body.append(setting.sentence("before t"))
    for target in targets(setting):
        body += lines(setting, target, "k", 0)
    body.append(setting.sentence("linear"))
    for s in step.state:
        of = notation.value(s, "k")
        summed = Over("sum", "t", "k", "T", notation.gradient(of, 0))
        body.append(Equation((notation.gradient(of), summed), shape=("H",)))
    body += setting.each(
        step.inputs,
        lambda sub: Equation(
            (notation.pre_error(sub, "k"), Over("sum", "t", "k", "T", notation.pre_error(sub, "k", 0))), shape=("H",)
        ),
    )
    return setting.section("errors", body)
