"""The wires between two layers as horizontal and vertical lines: which vertical line is where, bends and branches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from tidegate.calculus.diagram.layout import BETWEEN, Layout
from tidegate.calculus.diagram.places import Place, Segment

Point = tuple[float, float]
Bundles = Mapping[Place, Sequence[Segment]]
MOST_TRIED = 5  # wires whose order is found by trying all; more are ordered by their height


@dataclass(frozen=True)
class Wire:
    """All segments of one value between two layers, with the corners of each, and the dots where the wire branches."""

    source: Place
    paths: tuple[tuple[Segment, tuple[Point, ...]], ...]
    dots: tuple[Point, ...]


def wires(layout: Layout) -> Iterator[Wire]:
    for k, bundles in enumerate(between_layers(layout)):
        begin = layout.ends[k][1]
        column = {source: begin + BETWEEN * (i + 1) for i, source in enumerate(in_columns(bundles))}
        for source, bundle in bundles.items():
            yield wire(source, bundle, column.get(source))


def crossings(layout: Layout) -> float:
    """How often wires cross, or 1,000 for each two that lie on each other."""
    total = 0.0
    for bundles in between_layers(layout):
        order = in_columns(bundles)
        total += clashes(order, bundles)
        for source in bundles:
            if any(abs(s.bend) <= 0.5 or s.side != "left" for s in bundles[source]):  # a line all the way
                spans = [heights(bent, bundles) for bent in order if bent is not source]
                total += sum(ys[0] < source.y < ys[-1] for ys in spans)
    return total


def between_layers(layout: Layout) -> Iterator[Bundles]:
    """The segments from each layer to the next, by their sources."""
    for layer in layout.layers[1:]:
        bundles: dict[Place, list[Segment]] = {}
        for place in layer:
            for segment in place.inputs:
                bundles.setdefault(segment.source, []).append(segment)
        yield bundles


def is_bent(segment: Segment) -> bool:
    return segment.side == "left" and abs(segment.bend) > 0.5


def heights(source: Place, bundles: Bundles) -> list[float]:
    """The heights at which the vertical line of a wire meets horizontal ones, from the top."""
    return sorted({source.y, *(s.target.y + s.offset for s in bundles[source] if is_bent(s))})


def in_columns(bundles: Bundles) -> Sequence[Place]:
    """The wires with a vertical line in the order, from the left, in which they cross least and never lie on each
    other."""
    sources = [source for source, bundle in bundles.items() if any(map(is_bent, bundle))]
    if len(sources) > MOST_TRIED:
        return sorted(sources, key=lambda source: (bundles[source][0].bend > 0, source.y))
    return min(permutations(sources), key=lambda order: clashes(order, bundles))


def clashes(order: Sequence[Place], bundles: Bundles) -> float:
    """1 for each crossing of two wires with vertical lines, and 1,000 for two that would lie on each other."""
    total = 0.0
    for i, left in enumerate(order):
        ends = [s.target.y + s.offset for s in bundles[left] if is_bent(s)]
        for right in order[i + 1 :]:
            # After its own vertical line the left wire crosses that of the right one; before, the right the left one.
            other, own = heights(right, bundles), heights(left, bundles)
            total += sum(other[0] < y < other[-1] for y in ends)
            total += own[0] < right.y < own[-1]
            total += 1000 * sum(abs(y - right.y) < 3 for y in ends)
    return total


def wire(source: Place, bundle: Sequence[Segment], column: float | None) -> Wire:
    y0 = source.y
    begin = (source.x + source.half[0], y0)
    paths: list[tuple[Segment, tuple[Point, ...]]] = []
    dots: list[Point] = []
    through = False
    for s in bundle:
        target = s.target
        if s.side != "left":
            end = (target.x, target.y + target.half[1] * (1 if s.side == "below" else -1))
            paths.append((s, (begin, (target.x, y0), end)))
        elif is_bent(s):
            assert column is not None
            end = (target.x - reach(s), target.y + s.offset)
            paths.append((s, (begin, (column, y0), (column, end[1]), end)))
        else:
            paths.append((s, (begin, (target.x - reach(s), y0))))
        through = through or not is_bent(s)
    corners = {s.target.x for s in bundle if s.side != "left"}
    if corners and len([s for s in bundle if not is_bent(s)]) > 1:  # it goes up, down or on in the middle of the layer
        dots += [(x, y0) for x in corners]
    if column is not None:
        ends = {s.target.y + s.offset for s in bundle if is_bent(s)}
        ys = heights(source, {source: bundle})
        for y in ys:
            if (y == y0) + (y in ends or (y == y0 and through)) + (y > ys[0]) + (y < ys[-1]) > 2:
                dots.append((column, y))
    return Wire(source, tuple(paths), tuple(dots))


def reach(segment: Segment) -> float:
    """From the centre of the target to its outline, at the height of the segment."""
    place = segment.target
    if place.node is None or place.node.kind != "operation":
        return place.half[0]
    return math.sqrt(place.half[0] ** 2 - segment.offset**2)
