"""The places of a diagram: nodes in layers from left to right, and the wires that cross a layer.

A value that is used in several layers is one wire: in each layer that it crosses there is one `Place` for it, so that
every segment goes from one layer to the next.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from tidegate.calculus.derivation.formula import Name
from tidegate.calculus.diagram.flow import Flow, Node


@dataclass(eq=False)
class Place:
    """What takes up space in a layer: a node, or a wire that crosses the layer (`node` None).

    (x, y) is the centre of the shape. up, down: the space that it needs above and below y. inputs: the segments that
    end here, from the top. half: half of the width and of the height of the shape.
    """

    layer: int
    value: int  # the node whose value leaves this place
    node: Node | None
    x: float = 0.0
    y: float = 0.0
    half: tuple[float, float] = (0.0, 0.0)
    up: float = 6.0
    down: float = 6.0
    inputs: list[Segment] = field(default_factory=list)


@dataclass(eq=False)
class Segment:
    """A part of a wire, from one layer to the next. `offset` is the height of its end relative to the target's y;
    `side` is where it reaches the target."""

    source: Place
    target: Place
    label: str | Name = ""
    offset: float = 0.0
    side: Literal["left", "above", "below"] = "left"

    @property
    def bend(self) -> float:
        """The height of the vertical part, positive downwards."""
        return self.target.y + self.offset - self.source.y


def layer_of(flow: Flow) -> list[int]:
    """Inputs come first, outputs last. Gates and states come as early as possible, other operations as late as
    possible, next to the node that needs them."""
    early = [0] * len(flow.nodes)
    for a in flow.arrows:  # in the order of their targets, so that each source is complete
        early[a.target] = max(early[a.target], early[a.source] + 1)
    early = [max(1, n) if node.kind not in ("input", "parameter") else n for n, node in zip(early, flow.nodes)]
    last = max(early)
    late = list(early)
    for i in reversed(range(len(flow.nodes))):
        node = flow.nodes[i]
        targets = [late[a.target] for a in flow.arrows if a.source == i]
        if node.kind == "output":
            late[i] = last
        elif node.kind != "input" and node.name is None and targets:
            late[i] = min(targets) - 1
    return late


def places(flow: Flow) -> list[list[Place]]:
    """The places of each layer, in the order of the nodes, with the segments between them."""
    at = layer_of(flow)
    layers: list[list[Place]] = [[] for _ in range(max(at) + 1)]
    ends: list[dict[int, Place]] = [{} for _ in layers]  # where the value of a node can be had, by layer
    for i, node in enumerate(flow.nodes):
        place = Place(at[i], i, node)
        layers[at[i]].append(place)
        ends[at[i]][i] = place
    for a in sorted(flow.arrows, key=lambda a: at[a.target]):
        for k in range(at[a.source] + 1, at[a.target]):
            if a.source not in ends[k]:
                wire = Place(k, a.source, None)
                wire.inputs.append(Segment(ends[k - 1][a.source], wire))
                layers[k].append(wire)
                ends[k][a.source] = wire
    for a in flow.arrows:
        target = ends[at[a.target]][a.target]
        target.inputs.append(Segment(ends[at[a.target] - 1][a.source], target, a.label))
    return layers


def width_of(label: str | Name, size: float = 16.0) -> float:
    """About the width of a label in a serif font."""
    if isinstance(label, Name):
        below = label.sub + ("," if label.sub and label.time is not None else "")
        below += "t−1" if label.time == -1 else "t" if label.time == 0 else ""
        return size * (0.56 * len(label.letter) + 0.4 * len(below) + 0.1)
    return size * sum(0.9 if unicodedata.east_asian_width(sign) in "WF" else 0.56 for sign in label)


def give_size(place: Place) -> None:
    """The size of the shape of a place, and where its inputs end."""
    node, n = place.node, len(place.inputs)
    if node is None:
        return
    step = 0.0
    if node.kind == "function":
        step = 32.0
        place.half = max(25.0, width_of(node.label, 18) / 2 + 12), max(20.0, (n - 1) * step / 2 + 11)
    elif node.kind == "operation":
        labelled = any(segment.label for segment in place.inputs)
        step = (22.0 if labelled else 13.0) if n > 2 else 0.0  # one of two comes from above or below
        radius = max(15.0, (n - 1) * step / 2 + 7)
        place.half = radius, radius
    else:
        place.half = width_of(node.label) / 2 + (6 if node.kind == "parameter" else 13), 13.0
    for k, segment in enumerate(place.inputs):
        segment.offset = (k - (n - 1) / 2) * step
    place.up, place.down = place.half[1] + (20 if node.name else 0), place.half[1]
    for segment in place.inputs:
        if segment.label:
            above = label_is_above(segment)
            place.up = max(place.up, 21 - segment.offset if above else 0)
            place.down = max(place.down, 21 + segment.offset if not above else 0)


def label_is_above(segment: Segment) -> bool:
    """Labels are above their wires; at a circle, whose wires are close together, those of the lower half are below."""
    node = segment.target.node
    return node is None or node.kind != "operation" or segment.offset <= 0
