"""The letters of a notation in a diagram, in the place of those of the equations."""

from dataclasses import replace

from tidegate.calculus.derivation.formula import Formula, Name, upright
from tidegate.calculus.derivation.notation import Notation
from tidegate.calculus.diagram.flow import Arrow, Flow, Node


def in_letters(drawn: Flow, notation: Notation) -> Flow:
    """The flow with the letters of the notation."""
    return Flow(
        [node_in(node, notation) for node in drawn.nodes], [arrow_in(arrow, notation) for arrow in drawn.arrows]
    )


def node_in(node: Node, notation: Notation) -> Node:
    label = node.label
    if isinstance(label, Name):
        if node.kind == "parameter":
            label = notation.v(label.sub)
        elif node.kind == "input" and label.time == 0:
            label = notation.x()
        else:
            label = value(label, notation)
    return replace(node, label=label, name=node.name and value(node.name, notation))


def value(name: Name, notation: Notation) -> Name:
    """A gate, or a state at its time."""
    return notation.value(name.letter, name.time if name.time is not None else 0)


def arrow_in(arrow: Arrow, notation: Notation) -> Arrow:
    label = arrow.label
    if not isinstance(label, Name):
        return arrow
    if label.letter == "v":
        return replace(arrow, label=notation.v(label.sub))
    weight = (notation.W if label.letter == "W" else notation.U)(notation.sub(label.sub))
    return replace(arrow, label=letter(weight))


def letter(weight: Formula) -> Name:
    """The name of a weight, which the notation of rows has transposed in formulas of columns."""
    name = upright(weight)
    assert isinstance(name, Name)
    return name
