"""The equations of a step in the order in which they run."""

from collections.abc import Iterator

from tidegate.calculus.derivation.formula import Formula, product, total, upright, write
from tidegate.calculus.derivation.parts import Equation, Part, Section
from tidegate.calculus.derivation.roles import new_state_of
from tidegate.calculus.derivation.rules import definitions
from tidegate.calculus.derivation.setting import Setting
from tidegate.calculus.expression import Expression, subgraph
from tidegate.calculus.step import Step

H = ("H",)


def forward_section(setting: Setting, *, introduced: bool) -> Section:
    """The step; `introduced`: the notation has its own section."""
    body: list[Part] = [] if introduced else [column_vectors(setting)]
    body += by_net_inputs(setting) if setting.notation.nets else by_products(setting)
    body += definitions(setting)
    return setting.section("the step", body)


def column_vectors(setting: Setting) -> Part:
    """The notation in two sentences, where it has no section of its own."""
    notation, step = setting.notation, setting.step
    g = step.gates[0]
    key = "rows" if notation.rows else "columns"
    products = setting.words("recurrent weights", U=upright(notation.U(notation.sub(g)))) if step.products else ()
    return setting.sentence(
        key,
        x=notation.x(),
        W=upright(notation.W(notation.sub(g))),
        U=products,
        none=() if step.products else (" ", *setting.words("no product")),
    )


def by_products(setting: Setting) -> list[Part]:
    """Input terms and products as values of their own, then the gates written out."""
    step, notation = setting.step, setting.notation
    named, out = notation.values(), notation.written_out()

    def input_term(sub: str) -> Equation:
        affine = total([product([notation.W(sub), notation.x()], matrix=True), notation.b(sub)])
        return Equation((notation.pre(sub), affine), shape=H)

    body: list[Part] = [*setting.each(step.inputs, input_term)]
    for item in in_order(step):
        if isinstance(item, int):
            stage = step.stages[item]
            p = write(stage.operand, named, outermost=False)

            def product_of(sub: str, p: Formula = p) -> Equation:
                Up = product([notation.U(sub), p], matrix=True)
                return Equation((notation.product(sub), total([Up, notation.c(sub)])), shape=H)

            body += setting.each(stage.gates, product_of)
        else:
            name, e = item
            alias = named[e] if named[e] != notation.value(name) else None
            body.append(Equation((notation.value(name), alias or write(e, named)), shape=H))
    body.append(setting.sentence("written out"))
    for name, e in gates_in_order(step):
        if named[e] == notation.value(name):
            body.append(Equation((notation.value(name), write(e, out))))
    return body


def by_net_inputs(setting: Setting) -> list[Part]:
    """Each gate's net input, then its function."""
    step, notation = setting.step, setting.notation
    named = notation.values()
    body: list[Part] = []
    for item in in_order(step):
        if isinstance(item, int):
            continue
        name, e = item
        if name in step.gates:
            body.append(Equation((notation.input_term(name), notation.net_formula(name)), shape=H))
        if name in step.state or new_state_of(step, name) is None:
            body.append(Equation((notation.value(name), write(e, named)), shape=H))
    return body


def gates_in_order(step: Step) -> list[tuple[str, Expression]]:
    return [item for item in in_order(step) if not isinstance(item, int) and item[0] in step.gates]


def in_order(step: Step) -> Iterator[int | tuple[str, Expression]]:
    """Indices of stages and (name, value) of gates and new states, everything after what it needs."""
    waiting: list[tuple[str, Expression]] = [*step.gate.items(), *step.new.items()]
    order = subgraph([e for _, e in waiting])
    waiting.sort(key=lambda item: (order.index(item[1]), item[0] in step.state))
    missing = set(step.q.values())

    def ready() -> Iterator[tuple[str, Expression]]:
        for item in list(waiting):
            if missing.isdisjoint(subgraph([item[1]])):
                waiting.remove(item)
                yield item

    yield from ready()
    for k, stage in enumerate(step.stages):
        yield k
        missing -= {step.q[g] for g in stage.gates}
        yield from ready()
