"""Special cases: gates set to 0 and 1, the equations simplified, and known cells recognised in the result."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product

from tidegate.calculus.derivation.document import Equation, Section, Sentence
from tidegate.calculus.derivation.formula import Formula, Name, Number, write
from tidegate.calculus.derivation.naming import listed, values
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
    """Each sigmoid gate alone at 0 and at 1; and the smallest sets of gates that give another cell or keep a state."""
    switches = [g for g, e in step.gate.items() if e.op == "sigmoid"]
    found = [set_gates(step, {g: value}) for g in switches for value in (1, 0)]
    notable = [case for case in found if remarks(step, case, strong=True)]
    for count in range(2, min(len(switches), 3) + 1):
        for chosen in combinations(switches, count):
            for numbers in product((1, 0), repeat=count):
                case = set_gates(step, dict(zip(chosen, numbers)))
                said = set(remarks(step, case, strong=True))
                smaller = [n for n in notable if n.gates.items() <= case.gates.items()]
                if said and not any(said <= set(remarks(step, n, strong=True)) for n in smaller):
                    notable.append(case)
                    found.append(case)
    return found


def remarks(step: Step, case: Case, *, strong: bool = False) -> list[str]:
    """Sentences on the simplified equations; `strong` leaves out those on what a state no longer depends on."""
    said: list[str] = []
    for name, cell in CELLS.items():
        if trace(cell) is not step and is_cell(case, trace(cell)):
            said.append(f"this is the cell {name}")
    copied = [s for s in step.state if case.new[s] is step.old[s]]
    if copied:
        said += [f"{s} is kept unchanged, and so is its gradient along the direct path" for s in copied]
    if strong:
        return said
    for s in step.state:
        if case.new[s].value is not None:
            said.append(f"{s} is {case.new[s].value:g}, independent of the past")
        elif not depends(step, case, case.new[s]):
            said.append(f"{s} depends on the input of this step alone")
        else:
            kept = step.old[s] in subgraph([step.new[s]])
            if kept and step.old[s] not in subgraph([case.new[s]]):
                said.append(f"there is no direct path from the old {s}")
    lost = [g for g, e in case.gate.items() if not depends(step, case, e)]
    if lost:
        said.append(f"{listed(lost)} do{'es' * (len(lost) == 1)} not depend on the past")
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


def case_section(step: Step) -> Section:
    named = values(step)
    body: list[Equation | Sentence] = []
    for case in cases(step):
        settings: list[str | Formula] = []
        for g, value in case.gates.items():
            settings += [" and " if settings else "", Name(g, time=0), f" = {value}"]
        said = remarks(step, case)
        body.append(Sentence((*settings, f": {'; '.join(said)}." if said else ":")))
        body += list(equations(step, case, named))
    if not body:
        body.append(Sentence(("The cell has no sigmoid gate that could be set to 0 or 1.",)))
    return Section("Special cases, by substitution", tuple(body))


def equations(step: Step, case: Case, named: Mapping[Expression, Formula]) -> Iterator[Equation]:
    """The gates that changed, then the new states, in terms of the gates that did not change."""
    changed = {g: e for g, e in case.gate.items() if e is not step.gate[g]}
    names = {**named, **{e: Name(g, time=0) for g, e in case.gate.items() if e.op != "constant"}}
    for g, e in changed.items():
        yield Equation((Name(g, time=0), write(e, names)))
    for g, operand in case.operands.items():
        if operand is not next(s.operand for s in step.stages if g in s.gates) and operand.value is not None:
            yield Equation((Name("q", g, 0), Name("c", g)), "the product of a zero vector")
    names |= {e: Name(s, time=0) for s, e in case.new.items() if e not in names and e.op != "constant"}
    for s, e in case.new.items():
        known = names.get(e, Name(s, time=0))
        value: Formula = write(e, names) if known == Name(s, time=0) else known
        if e.value is not None:
            value = Number(e.value)
        if value != write(step.new[s], named):
            yield Equation((Name(s, time=0), value))
