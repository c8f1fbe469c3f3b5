"""The data flow of a step as a graph: inputs, functions and element-wise operations, and the arrows between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tidegate.calculus import operations
from tidegate.calculus.derivation.formula import Name
from tidegate.calculus.expression import Expression, subgraph
from tidegate.calculus.step import Step
from tidegate.errors import ArgumentError, EquationError

#: The most nodes of a diagram; more cannot be read, and take long to arrange.
MOST_NODES = 150
Kind = Literal["input", "function", "operation", "parameter", "output"]


@dataclass(frozen=True)
class Node:
    """kind: an input or output of the step, a function in a box, an element-wise operation in a circle, or a number or
    learned vector. label: what is written in it. name: the gate or state that it computes, if it has a name."""

    kind: Kind
    label: str | Name
    name: Name | None = None


@dataclass(frozen=True)
class Arrow:
    """From one node, by index, to another. label: the matrix or vector that multiplies the value on the way, or a
    sign."""

    source: int
    target: int
    label: str | Name = ""


@dataclass
class Flow:
    """Nodes in an order in which each comes after those that it needs, and arrows in the order of the equations."""

    nodes: list[Node] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)

    def add(self, node: Node, inputs: Sequence[tuple[int, str | Name]] = ()) -> int:
        index = len(self.nodes)
        if index == MOST_NODES:
            raise EquationError(
                f"these equations are too large for a diagram: it would have more than {MOST_NODES} nodes. "
                "Draw a part of them with `until`."
            )
        self.nodes.append(node)
        self.arrows += [Arrow(source, index, label) for source, label in inputs]
        return index


def flow(step: Step, until: Sequence[str] = ()) -> Flow:
    """The data flow of the whole step, or of the gates and states in `until` and what they are computed from.

    ArgumentError for a name that is neither a gate nor a state of the step, EquationError for more than 150 nodes.
    """
    values = {g: (Name(g, time=0), e) for g, e in step.gate.items()}
    values |= {s: (Name(s, time=0), e) for s, e in step.new.items()}
    for name in until:
        if name not in values:
            raise ArgumentError(f"`until` must be names of gates and states, {', '.join(values)}, got {name!r}.")
    shown = {name: values[name] for name in (until or reversed(step.state))}
    drawing = _Drawing(step, [e for _, e in shown.values()])
    for name, e in shown.values():
        drawing.flow.add(Node("output", name), [(drawing.node(e), "")])
    return drawing.flow


class _Drawing:
    """The flow while it grows: one node for each value that is computed."""

    def __init__(self, step: Step, roots: Sequence[Expression]) -> None:
        self.flow = Flow()
        self.step = step
        self.names = {e: Name(g, time=0) for g, e in step.gate.items()}
        self.kept = {*step.gate.values(), *step.new.values()}  # values that are drawn as one node each
        self.operands = {step.q[g]: stage.operand for stage in step.stages for g in stage.gates}
        inside = self.everything(roots)
        self.uses = Counter(arg for e in inside for arg in e.args)
        self.made: dict[Expression, int] = {}
        for s in reversed(step.state):
            if step.old[s] in inside:
                self.made[step.old[s]] = self.flow.add(Node("input", Name(s, time=-1)))
        self.x = self.flow.add(Node("input", Name("x", time=0))) if not inside.isdisjoint(step.a.values()) else -1
        for e in (*step.gate.values(), *step.new.values()):
            if e in inside:
                self.node(e)

    def everything(self, roots: Sequence[Expression]) -> set[Expression]:
        """All expressions that the roots are computed from, those before matrix products too."""
        inside: set[Expression] = set()
        waiting = list(roots)
        while waiting:
            for e in subgraph([waiting.pop()]):
                if e not in inside:
                    inside.add(e)
                    waiting += [self.operands[e]] if e in self.operands else []
        return inside

    def node(self, e: Expression) -> int:
        """The index of the node that computes `e`; it is made if it does not exist."""
        if e not in self.made:
            # Operands first, without recursion: a long chain of operations is not a deep call.
            waiting = [e]
            while waiting:
                needed = [n for n in self.needs(waiting[-1]) if n not in self.made]
                if needed:
                    waiting += reversed(needed)
                else:
                    ready = waiting.pop()
                    if ready not in self.made:
                        self.made[ready] = self.make(ready)
        return self.made[e]

    def needs(self, e: Expression) -> list[Expression]:
        """The values whose nodes have an arrow to the node of `e`."""
        return [source for source, _ in self.inputs(e) if source is not None]

    def make(self, e: Expression) -> int:
        inputs = [(self.x if source is None else self.made[source], label) for source, label in self.inputs(e)]
        return self.flow.add(self.drawn(e), inputs)

    def drawn(self, e: Expression) -> Node:
        """The node of `e`, without its arrows."""
        name = self.names.get(e)
        if e.kind == "vector":
            return Node("parameter", Name("v", str(e.name)))
        if e.op == "constant":
            return Node("parameter", f"{e.value:g}")
        if e.op in ("leaf", "add"):
            return Node("operation", "+", name)
        if e.op == "sub":
            return Node("operation", "1−" if e.args[0].value == 1 else "+", name)
        if e.op == "mul":
            return Node("operation", "( )²" if e.args[0] is e.args[1] else "⊙", name)
        if e.op in ("div", "neg"):
            return Node("operation", "÷" if e.op == "div" else "−", name)
        operation = operations.find(e.op)
        return Node("function", operation.mathml or operation.printed or operation.name, name)

    def inputs(self, e: Expression) -> list[tuple[Expression | None, str | Name]]:
        """The arrows into the node of `e`: the value that each comes from, None for x, and its label."""
        if e.op == "leaf":
            return [self.unnamed(e)] if e.kind in ("input", "product") else []
        if e.op == "sub" and e.args[0].value == 1:
            return [self.arrow(e.args[1])]
        if e.op in ("add", "sub"):
            return [self.signed(part, sign) for sign, part in self.terms(e, outermost=True)]
        if e.op == "mul":
            if e.args[0] is e.args[1]:
                return [self.arrow(e.args[0])]
            return [self.arrow(part) for part in self.factors(e, outermost=True)]
        if e.op == "div":
            return [self.arrow(e.args[0]), self.signed(e.args[1], "divisor")]
        if e.op == "neg" or len(e.args) > 1:
            return [self.arrow(arg) for arg in e.args]
        return [self.signed(part, sign) for arg in e.args for sign, part in self.terms(arg)]

    def arrow(self, e: Expression) -> tuple[Expression | None, str | Name]:
        """Where the value of `e` comes from and what multiplies it on the way."""
        return (e, "") if e in self.kept else self.unnamed(e)

    def unnamed(self, e: Expression) -> tuple[Expression | None, str | Name]:
        """As `arrow`, for a value that has no name."""
        if e.kind == "input":
            return None, Name("W", str(e.name))
        if e.kind == "product":
            return self.operands[e], Name("U", str(e.name))
        if e.op == "mul" and self.uses[e] <= 1:
            for vector, other in (e.args, reversed(e.args)):
                if vector.kind == "vector" and other.kind not in ("vector", "input", "product"):
                    return other, Name("v", str(vector.name))
        return e, ""

    def signed(self, e: Expression, sign: str) -> tuple[Expression | None, str | Name]:
        """An arrow with a sign; a value that is multiplied on the way and subtracted needs a node of its own."""
        source, label = self.arrow(e)
        if not sign:
            return source, label
        return (e, sign) if label else (source, sign)

    def inner(self, e: Expression) -> bool:
        """Whether `e` has no name and is part of only one expression, so that it can be drawn as a part of that."""
        return e not in self.kept and self.uses[e] <= 1

    def terms(self, e: Expression, *, outermost: bool = False) -> list[tuple[str, Expression]]:
        """The terms of a sum with their signs, "" for plus."""
        if not outermost and not self.inner(e):
            return [("", e)]
        if e.op == "add":
            return [term for arg in e.args for term in self.terms(arg)]
        if e.op == "sub" and (e.args[0].value != 1):
            return [*self.terms(e.args[0]), *(("" if sign else "−", part) for sign, part in self.terms(e.args[1]))]
        return [("", e)]

    def factors(self, e: Expression, *, outermost: bool = False) -> list[Expression]:
        plain = e.op == "mul" and e.args[0] is not e.args[1]
        if plain and (outermost or (self.inner(e) and not self.arrow(e)[1])):
            return [factor for arg in e.args for factor in self.factors(arg)]
        return [e]
