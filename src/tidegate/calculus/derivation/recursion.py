"""The forward equations of a step, the recursion of BPTT, and the gradients as sums over time."""

from collections.abc import Iterator, Sequence

from tidegate.calculus.adjoint import Adjoint
from tidegate.calculus.derivation.document import Equation, Section, Sentence
from tidegate.calculus.derivation.formula import (
    BLANK,
    Formula,
    Name,
    Over,
    Partial,
    Product,
    Transpose,
    product,
    total,
    write,
)
from tidegate.calculus.derivation.naming import X, cotangents, index_of, listed, values, written_out
from tidegate.calculus.expression import Expression, subgraph
from tidegate.calculus.step import Step
from tidegate.calculus.substitution import substitute

LOSS = Name("L")


def forward_section(step: Step) -> Section:
    """The products in the order in which they run, with the gates and states between them; then written out."""
    named, out = values(step), written_out(step)
    body: list[Equation | Sentence] = [notation(step)]
    k = index_of(step)
    a = product([Name("W", k), X], matrix=True)
    inputs = f"(H), for {k} = {', '.join(step.inputs)}"
    body.append(Equation((Name("a", k, 0), total([a, Name("b", k)])), inputs))
    for item in in_order(step):
        if isinstance(item, int):
            stage = step.stages[item]
            p = write(stage.operand, named, outermost=False)
            q = total([product([Name("U", k), p], matrix=True), Name("c", k)])
            body.append(Equation((Name("q", k, 0), q), f"(H), for {k} = {', '.join(stage.gates)}"))
        else:
            name, e = item
            alias = named[e] if named[e] != name else None
            body.append(Equation((name, alias or write(e, named)), "(H)"))
    body.append(Sentence(("With the matrix products written out:",)))
    for item in in_order(step):
        if not isinstance(item, int):
            name, e = item
            if e in step.gate.values() and named[e] == name:
                body.append(Equation((name, write(e, out))))
    return Section("The step", tuple(body))


def notation(step: Step) -> Sentence:
    vectors = f" and v ({', '.join(step.vectors)})" if step.vectors else ""
    k, products = index_of(step), bool(step.products)
    matrices: list[str | Formula] = [Name("W", k), " (H × D), "]
    matrices += [Name("U", k), " (H × H), "] * products
    biases: list[str | Formula] = [Name("b", k), *([", ", Name("c", k)] * products), vectors]
    kept = "weight_ih, weight_hh, bias_ih and bias_hh" if products else "weight_ih and bias_ih"
    parts: list[str | Formula] = [
        "Column vectors: ", X, " has D entries, everything else H. ", *matrices, *biases,
        " (H) are the blocks of gate ", Name(k), f" in torch's {kept}; ",
        Product((Name("u"), Name("w"))), " multiplies element by element.",
    ]  # fmt: skip
    if not products:
        parts.append(" The cell has no recurrent matrix product.")
    if "c" in step.state:
        parts += [" ", Name("c", time=0), " is the state c" + "; " * products]
        parts += [Name("c", k), " of a gate is a bias."] if products else ["."]
    return Sentence(tuple(parts))


def in_order(step: Step) -> Iterator[int | tuple[Name, Expression]]:
    """Indices of stages and (name, value) of gates and new states, everything after what it needs."""
    waiting: list[tuple[Name, Expression]] = [(Name(g, time=0), e) for g, e in step.gate.items()]
    waiting += [(Name(s, time=0), e) for s, e in step.new.items()]
    order = subgraph([e for _, e in waiting])
    waiting.sort(key=lambda item: (order.index(item[1]), item[0].letter in step.state))
    missing = set(step.q.values())

    def ready() -> Iterator[tuple[Name, Expression]]:
        for item in list(waiting):
            if missing.isdisjoint(subgraph([item[1]])):
                waiting.remove(item)
                yield item

    yield from ready()
    for k, stage in enumerate(step.stages):
        yield k
        missing -= {step.q[g] for g in stage.gates}
        yield from ready()


def backward_section(rule: Adjoint) -> Section:
    step = rule.step
    now, then = cotangents(rule), cotangents(rule, 1)
    h, gate = step.state[0], step.gates[0]
    body: list[Equation | Sentence] = [
        Sentence(
            (
                "d before a name is the gradient of the loss with respect to it: ", Name(gate, time=0, d=True), " = ",
                Partial(LOSS, Name(gate, time=0)), ". The recursion runs over t = T, ..., 1. The gradients of step "
                "T + 1 are zero, and the gradient of the loss with respect to a final state, if any, is added at T; ",
                Partial(Name("l"), Name(h, time=0)),
                " is the gradient of the loss of step t alone with respect to the output:",
            )
        )
    ]  # fmt: skip
    for name, e in gradients_in_order(rule):
        if name.letter in step.state and not name.sub:
            s = name.letter
            (rest,) = substitute([e], {rule.d_new[s]: 0})
            shares = [(Partial(Name("l"), Name(h, time=0)), "from the loss of this step")] if s == h else []
            shares += [(write(rule.d_old[s], then, outermost=False), "from step t + 1")]
            shares += [(write(rest, now, outermost=False), "within this step")] if rest.value != 0 else []
            body += in_lines(name, shares)
            continue
        twin = Name("q", name.sub, 0, d=True) if name.letter == "a" and rule.dq.get(name.sub) is e else None
        body.append(Equation((name, *([twin] if twin else []), write(e, now))))
    return Section("Backward through time", tuple(body))


def in_lines(left: Formula, shares: Sequence[tuple[Formula, str]], relation: str = "=") -> list[Equation]:
    """left = a sum, one term per line, each with its note."""
    first, *rest = shares
    return [Equation((left, first[0]), first[1], relation), *(Equation((BLANK, f), note, "+") for f, note in rest)]


def gradients_in_order(rule: Adjoint) -> list[tuple[Name, Expression]]:
    """(name, value) of the gradients of a step, everything after what it needs: states, gates, pre-activations."""
    step = rule.step
    waiting = [(Name(s, time=0, d=True), rule.cotangent[e]) for s, e in step.new.items()]
    waiting += [
        (Name(g, time=0, d=True), rule.cotangent[e])
        for g, e in step.gate.items()
        if e in rule.cotangent and rule.cotangent[e].op not in ("leaf", "constant") and e not in step.new.values()
    ]
    waiting += [(Name("a", g, 0, d=True), e) for g, e in rule.da.items()]
    waiting += [(Name("q", g, 0, d=True), e) for g, e in rule.dq.items() if rule.da.get(g) is not e]
    handed = {d: [rule.dq[g] for g in stage.gates] for d, stage in zip(rule.d_p, step.stages)}
    found: list[tuple[Name, Expression]] = []
    while waiting:
        open_ = {e for _, e in waiting if e.op != "leaf"}

        def needs(e: Expression, open_: set[Expression] = open_) -> bool:
            inside = [part for part in subgraph([e]) if part is not e]
            through = [dq for part in subgraph([e]) for dq in handed.get(part, ())]
            return not open_.isdisjoint([*inside, *through])

        item = next(item for item in waiting if not needs(item[1]))
        found.append(item)
        waiting.remove(item)
    return found


def gradient_section(rule: Adjoint) -> Section:
    step = rule.step
    named = values(step)
    now, k = cotangents(rule), index_of(step)

    def over_time(body: Formula) -> Formula:
        return Over("sum", "t", "1", "T", body)

    def error(kind: str, g: str) -> Name:
        return Name(kind, g, 0, d=True)

    body: list[Equation | Sentence] = []
    body.append(
        Equation(
            (Partial(LOSS, Name("W", k)), over_time(product([error("a", k), Transpose(X)], matrix=True))),
            f"(H × D), for {k} = {', '.join(step.inputs)}",
        )
    )
    body.append(Equation((Partial(LOSS, Name("b", k)), over_time(error("a", k))), "(H)"))
    for stage in step.stages:
        p = write(stage.operand, named, outermost=False)
        outer = over_time(product([error("q", k), Transpose(p)], matrix=True))
        body.append(Equation((Partial(LOSS, Name("U", k)), outer), f"(H × H), for {k} = {', '.join(stage.gates)}"))
    if step.products:
        body.append(Equation((Partial(LOSS, Name("c", k)), over_time(error("q", k))), "(H)"))
    for n, e in rule.dv.items():
        body.append(Equation((Partial(LOSS, Name("v", n)), over_time(write(e, now, outermost=False))), "(H)"))
    shares = [product([Transpose(Name("W", g)), error("a", g)], matrix=True) for g in step.inputs]
    body.append(Equation((Partial(LOSS, X), total(shares)), "(D)"))
    for s in step.state:
        handed = write(rule.d_old[s], cotangents(rule, "1"), outermost=False)
        body.append(Equation((Partial(LOSS, Name(s, time="0")), handed), "(H)"))
    same = [g for g in step.products if rule.da.get(g) is rule.dq[g]]
    kind, side = ("q", Name("p", time=0)) if step.products else ("a", X)
    rows = product([Transpose(error(kind, k)), side], matrix=True)
    sides = [" and the operands of the products, ", side, " (B, H)."] if step.products else [" and ", side, " (B, D)."]
    equal = f" For {listed(same)} the gradients with respect to the two biases are equal." if same else ""
    words = "For a batch, with one sequence in each row, the sums are also over the sequences: "
    body.append(Sentence((words, over_time(rows), " with ", error(kind, k), " (B, H)", *sides, equal)))
    return Section("Gradients of the parameters, the inputs and the initial state", tuple(body))
