"""Where the places of a diagram lie: the order within each layer, and coordinates.

igraph orders the places of each layer with few crossings (the method of Sugiyama, Tagawa and Toda, 1981), from several
initial orders, of which the best result is kept. The vertical coordinates are the solution of a linear program that
minimises the sum of the heights of all vertical lines (SciPy's HiGHS).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from tidegate.calculus.diagram.approach import CLEAR, approach
from tidegate.calculus.diagram.flow import Flow
from tidegate.calculus.diagram.places import Place, Segment, give_size, places, width_of

GAP, GAP_OF_INPUTS = 14.0, 6.0  # between places of a layer
BETWEEN = 13.0  # between vertical lines of wires
TRIED = 24  # initial orders
ROUNDS = 4  # of the linear program

Layers = tuple[tuple[Place, ...], ...]


@dataclass(frozen=True)
class Layout:
    """Places with coordinates, layer by layer from the top, and the x of the left and right ends of each layer.
    cost: what is minimised; a crossing counts 1."""

    layers: Layers
    ends: tuple[tuple[float, float], ...]
    height: float
    cost: float

    def segments(self) -> Iterator[Segment]:
        for layer in self.layers:
            for place in layer:
                yield from place.inputs


def layout(flow: Flow) -> Layout:
    """The arrangement with the fewest crossings, and the shortest vertical lines, that is found."""
    random = Random(0)
    return min((arranged(flow, random if k else None) for k in range(TRIED)), key=lambda found: found.cost)


def arranged(flow: Flow, random: Random | None) -> Layout:
    """An arrangement from the initial order of the equations, or from a random one."""
    from tidegate.calculus.diagram.wires import crossings

    layers = in_order(places(flow), random)
    for layer in layers:
        for place in layer:
            order = {source: i for i, source in enumerate(layers[place.layer - 1])} if place.layer else {}
            place.inputs.sort(key=lambda segment: order[segment.source])
            give_size(place)
    height, vertical = give_heights(layers)
    for layer in layers:
        approach(layer)
    found = Layout(layers, give_columns(layers), height, 0.0)
    return replace(found, cost=crossings(found) + vertical / 200 + 0.4 * reversals(layers))


def reversals(layers: Layers) -> int:
    """Pairs of inputs, and of outputs, in the other order than that of the equations."""
    ends = ([place.value for place in layer if place.node] for layer in (layers[0], layers[-1]))
    return sum(a > b for values in ends for i, a in enumerate(values) for b in values[i + 1 :])


def in_order(layers: list[list[Place]], random: Random | None) -> Layers:
    """Each layer in an order with few crossings; `random` makes the initial order."""
    import igraph

    every = [place for layer in layers for place in layer]
    if random is not None:
        random.shuffle(every)
    index = {place: i for i, place in enumerate(every)}
    pairs = [(index[s.source], index[place]) for place in every for s in place.inputs]
    graph = igraph.Graph(n=len(every), edges=pairs, directed=True)
    points = graph.layout_sugiyama(layers=[place.layer for place in every], maxiter=200)
    ordered = [tuple(sorted(layer, key=lambda place: points[index[place]][0])) for layer in layers]
    upside_down = [layer[::-1] for layer in ordered]
    return tuple(min(ordered, upside_down, key=lambda found: reversals(tuple(found))))


def give_heights(layers: Sequence[Sequence[Place]]) -> tuple[float, float]:
    """Sets y of every place; returns the height of the drawing and the sum of those of all vertical lines.

    Minimises sum_s w_s |b_s| + 0.02 height, with b_s = y_source - (y_target + offset) and larger weights w for long
    wires, subject to `apart`. Then w_s is divided by |b_s| + 10 and the program solved again, which makes few b_s
    different from 0 (E. Candes, M. Wakin, S. Boyd, Journal of Fourier Analysis and Applications 14, 2008).
    """
    import numpy as np
    from scipy.optimize import linprog

    index = {place: i for i, place in enumerate(place for layer in layers for place in layer)}
    segments = [segment for place in index for segment in place.inputs]
    P, S = len(index), len(segments)
    entries: list[tuple[dict[int, float], float]] = []  # sum of coefficients * variables <= bound
    for k, segment in enumerate(segments):  # |b| <= the variable P + k
        i, j = index[segment.source], index[segment.target]
        entries += [({i: sign, j: -sign, P + k: -1.0}, sign * segment.offset) for sign in (1.0, -1.0)]
    entries += [({index[above]: 1.0, index[below]: -1.0}, -distance) for above, below, distance in apart(layers)]
    entries += [({i: 1.0, P + S: -1.0}, -place.down) for place, i in index.items()]  # the last variable is the height
    rows = np.zeros((len(entries), P + S + 1))
    for row, (coefficients, _) in zip(rows, entries):
        for column, coefficient in coefficients.items():
            row[column] = coefficient
    bounds = [(place.up, None) for place in index] + [(0, None)] * (S + 1)
    weights = np.array([weight(segment) for segment in segments])
    values = np.zeros(0)
    bends = np.zeros(S)
    for _ in range(ROUNDS):
        cost = np.r_[np.zeros(P), weights * 10 / (bends + 10), 0.02]
        values = linprog(cost, A_ub=rows, b_ub=[bound for _, bound in entries], bounds=bounds, method="highs").x
        bends = values[P : P + S]
    for place, i in index.items():
        place.y = float(values[i])
    return float(values[-1]), float(bends.sum())


def apart(layers: Sequence[Sequence[Place]]) -> Iterator[tuple[Place, Place, float]]:
    """(above, below, least distance): places of a layer; two wires that reach a circle from the left and from above or
    below."""
    for layer in layers:
        for above, below in pairwise(layer):
            yield above, below, above.down + below.up + (GAP if above.layer else GAP_OF_INPUTS)
        for place in layer:
            if place.node is not None and place.node.kind == "operation" and len(place.inputs) == 2:
                above, below = (segment.source for segment in place.inputs)
                if above is not below:
                    yield above, below, place.half[1] + CLEAR + 1


def weight(segment: Segment) -> float:
    """Of a vertical line: large for long wires, larger for the first input of a circle than for the second, which can
    come from above or below."""
    target = segment.target
    wires = (segment.source.node is None) + (target.node is None)
    first = segment is min(target.inputs, key=lambda s: not s.label)
    second = target.node is not None and target.node.kind == "operation" and len(target.inputs) == 2
    return (1.0, 3.0, 8.0)[wires] * (2.0 if first else 0.4 if second else 1.0)


def give_columns(layers: Sequence[Sequence[Place]]) -> tuple[tuple[float, float], ...]:
    """Sets x of every place, and returns the ends of each layer; between two layers there is space for the wires."""
    ends: list[tuple[float, float]] = []
    right = 0.0
    for layer in layers:
        label = max((width_of(s.label, 15) + 20 for place in layer for s in place.inputs if s.label), default=14.0)
        if ends:
            sources = {s.source for place in layer for s in place.inputs if s.side == "left" and abs(s.bend) > 0.5}
            right += BETWEEN * (len(sources) + 1)
        half = max(place.half[0] for place in layer)
        centre = right + (label if ends else 0) + half
        for place in layer:
            place.x = centre
        ends.append((right, centre + half))
        right = centre + half
    return tuple(ends)
