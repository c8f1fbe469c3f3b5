"""The chain rule, term by term: in which equations of a step a value occurs, and what each adds to its gradient."""

from dataclasses import dataclass

from tidegate.calculus.derivation.formula import Formula, Relation, write
from tidegate.calculus.derivation.notation import Notation, shifted
from tidegate.calculus.derivation.notation.base import Time
from tidegate.calculus.derivative import gradients
from tidegate.calculus.expression import Expression, constant, subgraph, symbol
from tidegate.calculus.substitution import substitute


@dataclass(frozen=True)
class Term:
    """What one equation adds to a gradient, and that equation."""

    value: Formula
    equation: Relation


class Chain:
    """The values of a step that have names, and the derivatives of each with respect to the others.

    The named values are gates, new states, and the arguments of the gates' functions; everything else is written in
    terms of these.
    """

    def __init__(self, notation: Notation) -> None:
        self.notation, self.step = notation, notation.step
        step = self.step
        arguments = {g: notation.argument(g) for g in step.gates}
        self.nodes: dict[Expression, str] = {e: g for g, e in arguments.items() if e is not None and e.op != "leaf"}
        self.nets = set(self.nodes)
        self.nodes |= {e: g for g, e in step.gate.items()} | {e: s for s, e in step.new.items()}
        self.leaves = [*step.a.values(), *step.q.values(), *step.old.values(), *step.v.values()]

    def inside(self, e: Expression) -> tuple[Expression, dict[Expression, Expression]]:
        """`e` with the named values in it replaced by variables, and the value of each variable."""
        cut = {node: symbol(f"value {i}") for i, node in enumerate(self.nodes) if node is not e}
        return substitute([e], cut)[0], {variable: node for node, variable in cut.items()}

    def slope(self, e: Expression, x: Expression, d: Expression) -> Expression:
        """d times the derivative of the equation of `e` with respect to a value or leaf x in it, 0 if it is not."""
        body, values = self.inside(e)
        back = {node: variable for variable, node in values.items()}
        wrt = back.get(x, x)
        if wrt not in subgraph([body]):
            return constant(0)
        found = gradients([(body, d)], [wrt], {body})[wrt]
        return substitute([found], values | {body: e})[0]

    def terms(
        self, x: Expression, time: Time = 0, loss: Time | None = None, but: Expression | None = None
    ) -> list[Term]:
        """The gradient with respect to the value or leaf x of the step at `time`, one term for each equation.

        `but`: a named value that counts as written out.
        """
        notation, step = self.notation, self.step
        names, d = notation.values(time), symbol("gradient")
        found: list[Term] = []
        if but in self.nodes and but is not None:
            return self.without(but).terms(x, time, loss)
        for e, name in self.nodes.items():
            slope = self.slope(e, x, d) if e is not x else constant(0)
            gradient = self.gradient_of(e, name, time, loss)
            if slope.value != 0 and gradient is not None:
                found.append(Term(write(slope, names | {d: gradient}, outermost=False), self.equation(e, time)))
        for g, q in step.q.items():
            operand = step.stages[step.stage_of(g)].operand
            slope = d if operand is x else self.slope(operand, x, d) if operand not in self.nodes else constant(0)
            if slope.value != 0 and notation.rule.dq[g].value != 0:
                term = write(slope, names | {d: notation.back_through(g, time, loss)}, outermost=False)
                found.append(Term(term, self.product_equation(g, q, time)))
        return found

    def without(self, e: Expression) -> "Chain":
        """The same with one value written out."""
        other = Chain(self.notation)
        del other.nodes[e]
        other.nets.discard(e)
        return other

    def gradient_of(self, e: Expression, name: str, time: Time, loss: Time | None) -> Formula | None:
        """The gradient with respect to a named value by its name; None if the loss does not depend on it."""
        rule = self.notation.rule
        if e not in rule.cotangent or rule.cotangent[e].value == 0:
            return None
        if e in self.nets:
            return self.notation.pre_error(self.notation.sub(name), time, loss)
        return self.notation.gradient(self.notation.value(name, time), loss)

    def equation(self, e: Expression, time: Time = 0) -> Relation:
        """The equation that defines a named value."""
        notation, name = self.notation, self.nodes[e]
        if e in self.nets and not notation.nets:
            return self.equation(self.step.gate[name], time)
        if e in self.nets:
            return Relation(notation.input_term(name, time), notation.net_formula(name, time))
        return Relation(notation.value(name, time), write(e, notation.values(time)))

    def product_equation(self, g: str, q: Expression, time: Time) -> Relation:
        """The equation that has the recurrent product of gate g in it."""
        notation = self.notation
        left, right = notation.values(time)[q], notation.recurrent(g, time)
        if left != right:
            return Relation(left, right)
        return self.equation(next(e for e in self.nodes if q in subgraph([self.inside(e)[0]])), time)

    def state_terms(self, s: str, time: Time, loss: Time | None = None) -> tuple[list[Term], list[Term]]:
        """The terms of the gradient with respect to a new state: from the next step, and from its own step."""
        return self.terms(self.step.old[s], shifted(time, 1), loss), self.terms(self.step.new[s], time, loss)
