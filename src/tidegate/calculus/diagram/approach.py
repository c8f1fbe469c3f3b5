"""How wires reach the circle of an operation with two inputs: one from the left, the other from above or below."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.calculus.diagram.places import Place, Segment

CLEAR = 12.0  # between a horizontal line and what is above or below it
APART = 8.0  # from the middle of a circle, of a wire that can come from the left only


def approach(layer: Sequence[Place]) -> None:
    """Sets side and offset of the inputs of circles in a layer whose heights are known."""
    taken: list[tuple[float, float, Place]] = []  # vertical lines at the middle of the layer
    for place in layer:
        if place.node is None or place.node.kind != "operation" or len(place.inputs) != 2:
            continue
        straight, other = sorted(place.inputs, key=lambda s: (not s.label, abs(s.bend)))
        span = (min(other.source.y, place.y), max(other.source.y, place.y))
        clear = abs(other.bend) >= place.half[1] + CLEAR and not other.label
        if clear and is_free(layer, place, other, span) and not meets(taken, span, other):
            other.side = "below" if other.source.y > place.y else "above"
            taken.append((*span, other.source))
            continue
        sign = -1 if place.inputs[0] is other else 1
        other.offset = sign * APART
        straight.offset = 0.0 if abs(straight.bend) < 0.5 else -sign * APART


def is_free(layer: Sequence[Place], place: Place, segment: Segment, span: tuple[float, float]) -> bool:
    """Whether a horizontal line at the height of the source, then a vertical one to `place`, would hit no other place;
    the vertical line may cross a wire."""
    y = segment.source.y
    for other in layer:
        if other is place or (other.node is None and other.value == segment.source.value):
            continue
        top, bottom = other.y - other.up, other.y + other.down
        if top - CLEAR / 2 < y < bottom + CLEAR / 2:
            return False
        if other.node is not None and span[0] < bottom and top < span[1]:
            return False
    return True


def meets(taken: Sequence[tuple[float, float, Place]], span: tuple[float, float], segment: Segment) -> bool:
    """Whether the vertical line would lie on one of another value."""
    return any(low < span[1] and span[0] < high and source is not segment.source for low, high, source in taken)
