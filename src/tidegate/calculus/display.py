"""A Step in a notebook: its equations as mathematics, and its diagram."""

from html import escape

from tidegate.calculus.derivation.formula import Formula, Name, write
from tidegate.calculus.derivation.latex import latex
from tidegate.calculus.derivation.mathml import mathml
from tidegate.calculus.derivation.naming import values, written_out
from tidegate.calculus.diagram import diagram
from tidegate.calculus.expression import Expression, subgraph
from tidegate.calculus.step import Step
from tidegate.errors import EquationError
from tidegate.notebook import output, paragraph


def equations(step: Step) -> list[tuple[Formula, Formula]]:
    """(name, value) of gates and new states, with the matrix products written out; each after those that it needs.

    EquationError for equations that are too large to be printed."""
    named, out = values(step), written_out(step)
    waiting = [(Name(g, time=0), e) for g, e in step.gate.items()] + [(Name(s, time=0), e) for s, e in step.new.items()]
    missing = {e for _, e in waiting}
    found: list[tuple[Formula, Formula]] = []
    while waiting:
        name, e = item = next(item for item in waiting if missing.isdisjoint(needed(step, item[1])))
        waiting.remove(item)
        missing.discard(e)
        by_name = named[e] if named[e] != name and e.op != "leaf" else None
        found.append((name, by_name or (out[e] if e.op == "leaf" else write(e, out))))
    return found


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
        shown = f'<math display="block" style="text-align: left"><mtable displaystyle="true">{rows}</mtable></math>'
    except EquationError as error:
        shown = f"{paragraph(str(error))}<pre>{escape(str(step))}</pre>"
    try:
        picture = diagram(step).svg
    except EquationError as error:
        picture = paragraph(str(error))
    return output(head, shown, picture)


def step_latex(step: Step) -> str | None:
    """The equations as one aligned formula; None, which a notebook skips, where they are too large to be printed."""
    try:
        lines = [f"{latex(name)} &= {latex(value)}" for name, value in equations(step)]
    except EquationError:
        return None
    return "$$\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}$$"
