"""The output layer and the loss: softmax regression on the output of every step, and their gradients."""

from tidegate.calculus.derivation.formula import (
    Apply,
    Name,
    Over,
    Partial,
    Product,
    Quotient,
    Sum,
    Transpose,
    product,
    total,
    transposed,
)
from tidegate.calculus.derivation.gradients import over_time
from tidegate.calculus.derivation.parts import Equation, Part, Section
from tidegate.calculus.derivation.setting import Setting

C = ("C",)


def output_section(setting: Setting) -> Section:
    notation = setting.notation
    h, u, y = notation.value(setting.step.state[0]), notation.logits(), notation.target()
    p, V, bias, ones = notation.prediction(), notation.V(), notation.output_bias(), Name("1")
    L, Lt = notation.loss(), notation.loss(0)
    difference = Sum(((1, p), (-1, y)))
    exp_u = Apply("exp", (u,))
    normaliser = product([Transpose(ones), exp_u], matrix=True)
    body: list[Part] = [
        setting.sentence("softmax regression", h=h, y=y),
        Equation((u, total([product([V, h], matrix=True), bias])), shape=C),
        Equation(
            (p, Apply("softmax", (u,)), Quotient(exp_u, normaliser)), shape=C, why=setting.because("ones", one=ones)
        ),
        Equation((Lt, Sum(((-1, Product((Transpose(y), Apply("log", (p,))), matrix=True)),)))),
        Equation((L, Over("sum", "t", "1", "T", Lt))),
    ]
    gradient = Partial(Lt, u)
    if setting.full:
        in_logits = Sum(((1, Apply("log", (normaliser,))), (-1, Product((Transpose(y), u), matrix=True))))
        body += [
            setting.sentence("in logits", sum=Product((Transpose(ones), y), matrix=True)),
            Equation((Lt, in_logits)),
            Equation((gradient, Sum(((1, Quotient(exp_u, normaliser)), (-1, y))), difference), shape=C,
                     why=setting.words("by definition", name=p)),
        ]  # fmt: skip
    else:
        body.append(Equation((gradient, difference), shape=C))
    occurs = setting.because("occurs", equation=u, factor=product([V, h], matrix=True))
    body += [
        Equation((Partial(Lt, h), product([transposed(V), Partial(Lt, u)], matrix=True),
                  Product((transposed(V), difference), matrix=True)), shape=("H",), why=occurs),
        Equation((Partial(L, V), over_time(Product((difference, Transpose(h)), matrix=True))), shape=("C", "H")),
        Equation((Partial(L, bias), over_time(difference)), shape=C),
        setting.sentence("mean loss"),
    ]  # fmt: skip
    return setting.section("output", body)
