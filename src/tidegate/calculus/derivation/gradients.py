"""The gradients of the parameters, the inputs and the initial states as sums over time."""

from tidegate.calculus.derivation.formula import (
    Formula,
    Over,
    Partial,
    Transpose,
    product,
    total,
    transposed,
    upright,
    write,
)
from tidegate.calculus.derivation.notation.base import Time
from tidegate.calculus.derivation.parts import Equation, Part, Section
from tidegate.calculus.derivation.setting import Setting


def over_time(body: Formula) -> Formula:
    return Over("sum", "t", "1", "T", body)


def gradient_section(setting: Setting) -> Section:
    step, rule, notation = setting.step, setting.rule, setting.notation
    L, body = notation.loss(), list[Part]()

    def of_W(sub: str) -> Equation:
        outer = product([notation.pre_error(sub), Transpose(notation.x())], matrix=True)
        why = setting.because(
            "occurs", equation=notation.pre(sub), factor=product([notation.W(sub), notation.x()], matrix=True)
        )
        return Equation((Partial(L, notation.W(sub)), over_time(outer)), shape=("H", "D"), why=why)

    body += setting.each(step.inputs, of_W)
    body += setting.each(
        step.inputs,
        lambda sub: Equation((Partial(L, notation.b(sub)), over_time(notation.pre_error(sub))), shape=("H",)),
    )
    for stage in step.stages:
        p = write(stage.operand, notation.values(), outermost=False)
        alike = [g for g in stage.gates if shares_error(setting, g)]

        def of_U(sub: str, error: Formula, p: Formula = p) -> Equation:
            outer = over_time(product([error, Transpose(p)], matrix=True))
            why = setting.because("multiplies", U=upright(notation.U(sub)), p=p)
            return Equation((Partial(L, notation.U(sub)), outer), shape=("H", "H"), why=why)

        body += setting.each(alike, lambda sub: of_U(sub, error_of(setting, sub)))
        for g in stage.gates:
            if g not in alike:
                body.append(of_U(notation.sub(g), notation.error("q", g)))
    own = [g for g in step.products if not notation.merged(g)]
    alike = [g for g in own if shares_error(setting, g)]
    body += setting.each(
        alike,
        lambda sub: Equation((Partial(L, notation.c(sub)), over_time(error_of(setting, sub))), shape=("H",)),
    )
    for g in own:
        if g not in alike:
            bias = Partial(L, notation.c(notation.sub(g)))
            body.append(Equation((bias, over_time(notation.error("q", g))), shape=("H",)))
    now = notation.gradients()
    for n, e in rule.dv.items():
        body.append(Equation((Partial(L, notation.v(n)), over_time(write(e, now, outermost=False))), shape=("H",)))
    shares = [
        product([transposed(notation.W(notation.sub(g))), notation.error("a", g)], matrix=True)
        for g in step.inputs
        if rule.da[g].value != 0
    ]
    body.append(Equation((Partial(L, notation.x()), total(shares)), shape=("D",)))
    for s in step.state:
        handed = write(rule.d_old[s], notation.gradients("1"), outermost=False)
        body.append(Equation((Partial(L, notation.value(s, "0")), handed), shape=("H",)))
    body.append(batch(setting))
    return setting.section("gradients", body)


def shares_error(setting: Setting, g: str) -> bool:
    """Whether the gradient with respect to the product of g is written with a letter of its own."""
    notation, rule = setting.notation, setting.rule
    return not notation.nets or (
        notation.error("q", g) == notation.pre_error(notation.sub(g)) and rule.dq[g].value != 0
    )


def error_of(setting: Setting, sub: str, time: Time = 0, loss: Time | None = None) -> Formula:
    """The gradient with respect to the product of any gate that `shares_error`, by the subscript."""
    notation = setting.notation
    return (
        notation.pre_error(sub, time, loss) if notation.nets else notation.gradient(notation.product(sub, time), loss)
    )


def batch(setting: Setting) -> Part:
    step, rule, notation = setting.step, setting.rule, setting.notation
    if notation.rows:
        return setting.sentence("batch of rows")
    same = [g for g in step.products if rule.da.get(g) is rule.dq[g]]
    equal: tuple = ()
    if same and not notation.nets:
        equal = setting.words("equal biases", gates=setting.language.listed(same))
    elif same:
        equal = setting.words("one bias")
    return setting.sentence("batch", equal=equal)
