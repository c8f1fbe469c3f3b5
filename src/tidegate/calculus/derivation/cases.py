"""Special cases: gates set to 0 and 1, the equations simplified, and known cells recognised in the result."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product

from tidegate.calculus.derivation.formula import ZERO, Formula, Number, Relation, total, upright, write
from tidegate.calculus.derivation.formula import product as matrix_product
from tidegate.calculus.derivation.parts import Equation, Part, Section, Words
from tidegate.calculus.derivation.roles import in_convention, is_gate, keepers
from tidegate.calculus.derivation.setting import Setting
from tidegate.calculus.expression import Expression, leaf, subgraph
from tidegate.calculus.step import Step
from tidegate.calculus.substitution import substitute
from tidegate.calculus.trace import trace
from tidegate.cells import CELLS


@dataclass(frozen=True)
class Case:
    """Some gates at 0 or 1, and the remaining equations: new states, operands of the products, other gates."""

    gates: Mapping[str, int]
    new: Mapping[str, Expression]
    operands: Mapping[str, Expression]
    gate: Mapping[str, Expression]


def set_gates(step: Step, gates: Mapping[str, int]) -> Case:
    replaced = {step.gate[g]: value for g, value in gates.items()}
    operands = {g: stage.operand for stage in step.stages for g in stage.gates}
    roots = [*step.new.values(), *operands.values(), *step.gate.values()]
    found = substitute(roots, replaced)
    n, k = len(step.new), len(operands)
    return Case(
        gates,
        dict(zip(step.new, found[:n])),
        dict(zip(operands, found[n : n + k])),
        {g: e for g, e in zip(step.gate, found[n + k :]) if g not in gates},
    )


def cases(step: Step) -> list[Case]:
    """Each gate alone at 0 and at 1; and the smallest sets of gates that give another cell, keep a state, or make one a
    function of the input alone."""
    switches = [g for g, e in step.gate.items() if e.op == "sigmoid" and is_gate(step, g)]
    found = [set_gates(step, {g: value}) for g in switches for value in (1, 0)]
    notable = [case for case in found if outcomes(step, case)]
    for count in range(2, min(len(switches), 3) + 1):
        for chosen in combinations(switches, count):
            for numbers in product((1, 0), repeat=count):
                case = set_gates(step, dict(zip(chosen, numbers)))
                said = set(outcomes(step, case))
                smaller = [n for n in notable if n.gates.items() <= case.gates.items()]
                if said and not any(said <= set(outcomes(step, n)) for n in smaller):
                    notable.append(case)
                    found.append(case)
    return found


def outcomes(step: Step, case: Case) -> list[tuple[str, str]]:
    """("is", cell) for every known cell that the case is, ("kept", state) for every state that it keeps, and ("input",
    state) for every state that is a function of the input alone."""
    known = [(name, trace(cell)) for name, cell in CELLS.items()]
    if not any(other is step for _, other in known):
        known += [(name, other) for name, cell in known for other in other_convention(cell)]
    found = [("is", name) for name, other in known if other is not step and is_cell(case, other)]
    kept = [("kept", s) for s in step.state if case.new[s] is step.old[s]]
    return [*dict.fromkeys(found), *kept, *(("input", s) for s in step.state if of_input_alone(step, case, s))]


def of_input_alone(step: Step, case: Case, state: str) -> bool:
    """Whether the new state is not constant, and no old state has an effect on it."""
    e = case.new[state]
    return e.value is None and not depends(step, case, e)


def other_convention(step: Step) -> list[Step]:
    return [in_convention(step, "write")] if any(True for _ in keepers(step)) else []


def remarks(setting: Setting, case: Case) -> list[Words]:
    """Sentences on the simplified equations."""
    step, notation = setting.step, setting.notation
    found = outcomes(step, case)
    said = [setting.words("is the cell", cell=name) for kind, name in found if kind == "is"]
    kept = [setting.words("is kept", state=notation.value(name, -1)) for kind, name in found if kind == "kept"]
    if kept:
        return [*said, *kept]
    for s in step.state:
        name, old = notation.value(s), notation.value(s, -1)
        if case.new[s].value is not None:
            said.append(setting.words("is constant", equation=Relation(name, Number(case.new[s].value or 0))))
        elif of_input_alone(step, case, s):
            said.append(setting.words("input alone", state=name))
        elif step.old[s] in subgraph([step.new[s]]) and step.old[s] not in subgraph([case.new[s]]):
            said.append(setting.words("lost path", old=old, state=name))
    lost = [notation.value(g) for g, e in case.gate.items() if not depends(step, case, e)]
    if lost:
        key = "does not depend" if len(lost) == 1 else "do not depend"
        said.append(setting.words(key, gates=setting.language.listed(lost)))
    return said


def is_cell(case: Case, other: Step) -> bool:
    """Whether the first state is computed as the other cell computes its own, from the same products."""
    h, theirs = next(iter(case.new.values())), other.new[other.state[0]]
    operands = {g: stage.operand for stage in other.stages for g in stage.gates}
    used = [g for g in operands if leaf("product", g) in subgraph([h])]
    return h is theirs and all(case.operands.get(g) is operands[g] for g in used)


def depends(step: Step, case: Case, e: Expression) -> bool:
    """Whether e depends on an old state, directly or through a product."""
    inside = set(subgraph([e]))
    if inside & set(step.old.values()):
        return True
    return any(
        step.q[g] in inside and operand.value is None and depends(step, case, operand)
        for g, operand in case.operands.items()
    )


def case_sections(setting: Setting) -> list[Section]:
    """The section, or none for a cell without a gate that could be set to 0 or 1."""
    step, notation = setting.step, setting.notation
    body: list[Part] = []
    for case in cases(step):
        settings = [Relation(notation.value(g), Number(value)) for g, value in case.gates.items()]
        said = setting.language.listed_words(remarks(setting, case), setting.language.semicolon)
        key = "case" if said else "case alone"
        body.append(setting.sentence(key, settings=setting.language.listed(settings), said=said))
        body += list(equations(setting, case))
    return [setting.section("cases", body)] if body else []


def equations(setting: Setting, case: Case) -> Iterator[Equation]:
    """The gates that changed, then the new states, in terms of the gates that did not change."""
    step, notation = setting.step, setting.notation
    named = notation.values()
    changed = {g: e for g, e in case.gate.items() if e is not step.gate[g]}
    names = {**notation.written_out(), **named}
    names |= {e: notation.value(g) for g, e in case.gate.items() if e.op != "constant"}
    for g, e in changed.items():
        yield Equation((notation.value(g), write(e, names)))
    for g, operand in case.operands.items():
        if operand is not step.stages[step.stage_of(g)].operand:
            yield changed_product(setting, g, write(operand, names, outermost=False))
    names |= {e: notation.value(s) for s, e in case.new.items() if e not in names and e.op != "constant"}
    for s, e in case.new.items():
        own = notation.value(s)
        known = names.get(e, own)
        value: Formula = write(e, names) if known == own else known
        if e.value is not None:
            value = Number(e.value)
        if value != write(step.new[s], named):
            yield Equation((own, value))


def changed_product(setting: Setting, g: str, p: Formula) -> Equation:
    """The recurrent product of g with another operand; where it has no letter, the net input that it is a part of."""
    notation, step = setting.notation, setting.step
    sub = notation.sub(g)
    U, bias = notation.U(sub), ZERO if notation.merged(g) else notation.c(sub)
    why = setting.words("zero vector", U=upright(U)) if p == ZERO else ()
    q = bias if p == ZERO else total([matrix_product([U, p], matrix=True), bias])
    if not notation.nets:
        return Equation((notation.product(sub), q), why=why)
    user = next(e for e in step.gate if step.q[g] in subgraph([notation.net[e]]))
    out = notation.written_out() | {step.q[g]: q}
    return Equation((notation.input_term(user), write(notation.net[user], out)), why=why)
