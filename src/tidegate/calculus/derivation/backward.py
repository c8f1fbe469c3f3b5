"""The recursion of BPTT: one sweep backwards, each term with the equation that it comes from."""

from dataclasses import dataclass

from tidegate.calculus.derivation.chain import Chain, Term
from tidegate.calculus.derivation.formula import BLANK, ZERO, Formula, Partial, total, write
from tidegate.calculus.derivation.notation.base import Time, shifted
from tidegate.calculus.derivation.parts import Equation, Part, Section, Words
from tidegate.calculus.derivation.roles import new_state_of
from tidegate.calculus.derivation.setting import Setting, in_lines
from tidegate.calculus.expression import Expression, subgraph
from tidegate.calculus.substitution import substitute


@dataclass(frozen=True)
class Target:
    """A value whose gradient is computed: of `kind` "state", "gate", "a" or "q"; `gradient` is the adjoint's."""

    kind: str
    name: str
    value: Expression
    gradient: Expression


def backward_section(setting: Setting) -> Section:
    step, notation = setting.step, setting.notation
    h = step.state[0]
    of = notation.value(h)
    body: list[Part] = []
    if setting.full:
        body.append(setting.sentence("sweep", own=Partial(notation.loss(0), of)))
    else:
        gate = notation.value(step.gates[0])
        g = notation.gradient(gate)
        meaning = () if isinstance(g, Partial) else setting.words("d", d=g, partial=Partial(notation.loss(), gate))
        body.append(setting.sentence("sweep, brief", meaning=meaning, own=Partial(notation.loss(0), of)))
    for target in targets(setting):
        body += lines(setting, target)
    body.append(setting.sentence("final state"))
    return setting.section("backward", body)


def targets(setting: Setting) -> list[Target]:
    """The gradients of a step, everything after what it needs: states, gates, pre-activations."""
    step, rule, notation = setting.step, setting.rule, setting.notation
    waiting = [Target("state", s, e, rule.cotangent[e]) for s, e in step.new.items()]
    waiting += [
        Target("gate", g, e, rule.cotangent[e])
        for g, e in step.gate.items()
        if e in rule.cotangent and rule.cotangent[e].op not in ("leaf", "constant") and new_state_of(step, g) is None
    ]
    if notation.nets:
        nets = {g: e for g, e in notation.net.items() if e in rule.cotangent}
        waiting += [Target("a", g, e, rule.cotangent[e]) for g, e in nets.items()]
    else:
        waiting += [Target("a", g, step.a[g], e) for g, e in rule.da.items()]
        waiting += [Target("q", g, step.q[g], e) for g, e in rule.dq.items() if rule.da.get(g) is not e]
    waiting = [target for target in waiting if target.gradient.value != 0]
    handed = {d: [rule.dq[g] for g in stage.gates] for d, stage in zip(rule.d_p, step.stages)}
    found: list[Target] = []
    while waiting:
        open_ = {target.gradient for target in waiting if target.gradient.op != "leaf"}

        def needs(e: Expression, open_: set[Expression] = open_) -> bool:
            inside = [part for part in subgraph([e]) if part is not e]
            through = [part for d in subgraph([e]) for dq in handed.get(d, ()) for part in subgraph([dq])]
            return not open_.isdisjoint([*inside, *through])

        item = next(item for item in waiting if not needs(item.gradient))
        found.append(item)
        waiting.remove(item)
    return found


def lines(setting: Setting, target: Target, time: Time = 0, loss: Time | None = None) -> list[Equation]:
    """The equation of one gradient at a step; for the loss of one step alone, without that loss's own term."""
    notation = setting.notation
    if target.kind == "state":
        return state_lines(setting, target, time, loss)
    name: Formula = {
        "gate": lambda: notation.gradient(notation.value(target.name, time), loss),
        "a": lambda: notation.pre_error(notation.sub(target.name), time, loss),
        "q": lambda: notation.error("q", target.name, time, loss),
    }[target.kind]()
    short = write(target.gradient, notation.gradients(time, loss))
    written_out = notation.argument(target.name) if target.kind == "a" and target.value.op == "leaf" else None
    terms = Chain(notation).terms(target.value, time, loss, written_out)
    parts: list[Formula] = [name]
    if target.kind == "a" and not notation.nets and setting.rule.dq.get(target.name) is target.gradient:
        parts.append(notation.error("q", target.name, time, loss))
    if loss is None or not terms:
        return [Equation((*parts, short))]
    if len(terms) == 1 and terms[0].value == short:
        return [Equation((*parts, short), why=because(setting, terms[0]))]
    first, *rest = in_lines(parts[-1], [(term.value, because(setting, term)) for term in terms])
    first = Equation((*parts, *first.parts[1:]), why=first.why)
    return [first, *rest, *factored(setting, [term.value for term in terms], short)]


def factored(setting: Setting, terms: list[Formula], short: Formula) -> list[Equation]:
    """The sum of the terms with common factors taken out, where that makes it shorter."""
    if len(flat(short)) >= len(flat(total(terms))):
        return []
    return [Equation((BLANK, short), why=setting.words("factored"))]


def because(setting: Setting, term: Term) -> Words:
    return setting.words("because", equation=term.equation)


def state_lines(setting: Setting, target: Target, time: Time, loss: Time | None) -> list[Equation]:
    step, rule, notation, s = setting.step, setting.rule, setting.notation, target.name
    value = notation.value(s, time)
    name, named = notation.gradient(value, loss), notation.gradients(time, loss)
    (inside,) = substitute([target.gradient], {rule.d_new[s]: 0})
    handed = write(rule.d_old[s], notation.gradients(shifted(time, 1), loss), outermost=False)
    within = write(inside, named, outermost=False)
    terms: list[tuple[Formula, Words]] = []
    if loss is None:
        if s == step.state[0]:
            terms.append((Partial(notation.loss(time), value), setting.words("own loss")))
        terms += [(handed, setting.words("next step"))] if rule.d_old[s].value != 0 else []
        terms += [(within, setting.words("within"))] if inside.value != 0 else []
        return in_lines(name, terms) if terms else []
    after, own = Chain(notation).state_terms(s, time, loss)
    terms = [(term.value, because(setting, term)) for term in (*after, *own)]
    if not terms:
        return [Equation((name, ZERO), why=setting.words("no next step"))]
    return [*in_lines(name, terms), *factored(setting, [term for term, _ in terms], total([handed, within]))]


def flat(x: Formula) -> tuple:
    return getattr(x, "terms", ((1, x),))
