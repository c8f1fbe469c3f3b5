"""A diagram can be read: nothing lies on anything else."""

import itertools
import random

import pytest
from tests.calculus.diagram.cells import Chain, Everything

from tidegate.calculus import trace
from tidegate.calculus.diagram.flow import Flow, Node, flow
from tidegate.calculus.diagram.layout import layout
from tidegate.calculus.diagram.places import label_is_above, width_of
from tidegate.calculus.diagram.wires import wires
from tidegate.cells import CELLS


def random_flow(seed):
    """Nodes of all kinds with one to four inputs from anywhere before."""
    draw, made = random.Random(seed), Flow()
    for name in ("x", "h", "c"):
        made.add(Node("input", name))
    for k in range(draw.randint(3, 11)):
        kind = draw.choice(("function", "operation"))
        inputs = [(draw.randrange(k + 3), draw.choice(("", "", "W_g"))) for _ in range(draw.randint(1, 4))]
        made.add(Node(kind, draw.choice(("+", "tanh")) if kind == "function" else "⊙"), inputs)
    for i in range(3, len(made.nodes)):
        if all(arrow.source != i for arrow in made.arrows):
            made.add(Node("output", "h"), [(i, "")])
    return made


FLOWS = {cell.__name__: flow(trace(cell)) for cell in (*CELLS.values(), Everything, Chain)}
FLOWS |= {f"random {seed}": random_flow(seed) for seed in range(12)}


def boxes(arranged):
    return [
        (p.x - p.half[0], p.y - p.half[1] - (18 if p.node.name else 0), p.x + p.half[0], p.y + p.half[1], p)
        for layer in arranged.layers
        for p in layer
        if p.node is not None
    ]


def labels(arranged):
    """The rectangles of the labels, above or below the ends of the wires."""
    for wire in wires(arranged):
        for segment, corners in wire.paths:
            if segment.label:
                x, y = corners[-1]
                left = x - 13 - width_of(segment.label, 15)
                yield (left, y - 19, x - 9, y - 5) if label_is_above(segment) else (left, y + 5, x - 9, y + 19)


def lines(arranged):
    """(value, x0, y0, x1, y1, ends) of every straight piece of every wire."""
    for wire in wires(arranged):
        for segment, corners in wire.paths:
            for (x0, y0), (x1, y1) in itertools.pairwise(corners):
                ends = {wire.source, segment.target}
                yield wire.source.value, min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1), ends


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def covers(shape, rectangle):
    """Whether a node, a circle if it is an operation, has a common area with a rectangle."""
    *box, place = shape
    if place.node.kind != "operation":
        return overlap(box, rectangle)
    x = min(max(place.x, rectangle[0]), rectangle[2])
    y = min(max(place.y, rectangle[1]), rectangle[3])
    return (x - place.x) ** 2 + (y - place.y) ** 2 < place.half[0] ** 2


@pytest.mark.parametrize("drawn", FLOWS.values(), ids=FLOWS)
def test_nothing_lies_on_anything_else(drawn):
    arranged = layout(drawn)
    shapes, words, pieces = boxes(arranged), list(labels(arranged)), list(lines(arranged))
    for a, b in itertools.combinations(shapes, 2):
        assert not overlap(a, b)
    for a, b in itertools.combinations(words, 2):
        assert not overlap(a, b)
    for word in words:
        assert not any(covers(shape, word) for shape in shapes)
    for _, x0, y0, x1, y1, ends in pieces:
        assert x0 == x1 or y0 == y1
        for shape in shapes:
            if shape[4] not in ends:
                assert not overlap((x0 - 2, y0 - 2, x1 + 2, y1 + 2), shape)
    for (one, *a, _), (other, *b, _) in itertools.combinations(pieces, 2):
        if one != other:
            parallel = (a[0] == a[2]) == (b[0] == b[2])
            assert not (parallel and overlap((a[0] - 1, a[1] - 1, a[2] + 1, a[3] + 1), b))


@pytest.mark.parametrize("drawn", FLOWS.values(), ids=FLOWS)
def test_every_arrow_is_drawn_once_from_left_to_right_and_inside_the_picture(drawn):
    arranged = layout(drawn)
    found = []
    for wire in wires(arranged):
        for segment, corners in wire.paths:
            assert all(x0 <= x1 for (x0, _), (x1, _) in itertools.pairwise(corners))
            if segment.target.node is not None:
                found.append((wire.source.value, segment.target.value, segment.label))
    assert sorted(found, key=str) == sorted(((a.source, a.target, a.label) for a in drawn.arrows), key=str)
    for left, top, right, bottom, _ in boxes(arranged):
        assert left >= -0.01
        assert top >= -0.01
        assert right <= arranged.ends[-1][1] + 0.01
        assert bottom <= arranged.height + 0.01


@pytest.mark.parametrize(("name", "crossings"), [("GRU", 3), ("LSTM", 7), ("RNN", 0), ("ResidualRNN", 0)])
def test_the_known_cells_have_few_crossings_and_states_in_the_order_of_the_equations(name, crossings):
    arranged = layout(FLOWS[name])
    pieces = list(lines(arranged))
    found = {
        (max(a[0], b[0]), max(a[1], b[1]))
        for (one, *a, _), (other, *b, _) in itertools.combinations(pieces, 2)
        if one != other and overlap(a, b)
    }
    assert len(found) <= crossings
    for layer in (arranged.layers[0], arranged.layers[-1]):
        ends = [place.value for place in layer if place.node]
        assert ends == sorted(ends)
