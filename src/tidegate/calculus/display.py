"""A Step in a notebook: its equations as mathematics, and its diagram."""

from html import escape

from tidegate.calculus.derivation.formula import Formula, Name, product, total, write
from tidegate.calculus.derivation.latex import latex
from tidegate.calculus.derivation.mathml import mathml
from tidegate.calculus.derivation.picture import inline_picture
from tidegate.calculus.expression import Expression, subgraph
from tidegate.calculus.step import Step
from tidegate.errors import EquationError
from tidegate.notebook import output, paragraph


def equations(step: Step) -> list[tuple[Formula, Formula]]:
    """(name, value) of gates and new states, with the matrix products written out; each after those that it needs.

    EquationError for equations that are too large to be printed."""
    named = written_out(step)
    waiting = [(Name(g, time=0), e) for g, e in step.gate.items()] + [(Name(s, time=0), e) for s, e in step.new.items()]
    missing = {e for _, e in waiting}
    found: list[tuple[Formula, Formula]] = []
    while waiting:
        name, e = item = next(item for item in waiting if missing.isdisjoint(needed(step, item[1])))
        waiting.remove(item)
        missing.discard(e)
        alias = named[e] if named[e] != name else None
        found.append((name, alias or write(e, named)))
    return found


def written_out(step: Step) -> dict[Expression, Formula]:
    """The parts of the equations that are printed by name: gates, states, and W x + b and U p + c in full."""
    named: dict[Expression, Formula] = {e: Name(s, time=0) for s, e in step.new.items()}
    named |= {e: Name(g, time=0) for g, e in step.gate.items() if e.op != "leaf"}
    named |= {e: Name(s, time=-1) for s, e in step.old.items()} | {e: Name("v", n) for n, e in step.v.items()}
    for g, e in step.a.items():
        named[e] = total([product([Name("W", g), Name("x", time=0)], matrix=True), Name("b", g)])
    for stage in step.stages:
        p = write(stage.operand, named, outermost=False)
        named |= {step.q[g]: total([product([Name("U", g), p], matrix=True), Name("c", g)]) for g in stage.gates}
    return named


def needed(step: Step, e: Expression) -> set[Expression]:
    """The expressions that `e` is computed from, those before matrix products too; not `e` itself."""
    operands = {step.q[g]: stage.operand for stage in step.stages for g in stage.gates}
    inside: set[Expression] = set()
    begin = [e]
    while begin:
        parts = set(subgraph([begin.pop()])) - inside
        inside |= parts
        begin += [operands[part] for part in parts if part in operands]
    return inside - {e}


def step_html(step: Step) -> str:
    """The equations as MathML, and the diagram; where they are too large, the sentence that says so, and the text."""
    head = f"<p><strong>{escape(step.name)}</strong>: one time step</p>"
    try:
        rows = "".join(
            f'<mtr><mtd style="text-align: right">{mathml(name)}</mtd><mtd><mo>=</mo></mtd>'
            f'<mtd style="text-align: left">{mathml(value)}</mtd></mtr>'
            for name, value in equations(step)
        )
        shown = (
            '<math display="block" style="width: max-content; margin: .5em 0">'
            f'<mtable displaystyle="true">{rows}</mtable></math>'
        )
    except EquationError as error:
        shown = f"{paragraph(str(error))}<pre>{escape(str(step))}</pre>"
    return output(head, shown, inline_picture(step))


def step_latex(step: Step) -> str | None:
    """The equations as one aligned formula; None, which a notebook skips, where they are too large to be printed."""
    try:
        lines = [f"{latex(name)} &= {latex(value)}" for name, value in equations(step)]
    except EquationError:
        return None
    return "$$\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}$$"
