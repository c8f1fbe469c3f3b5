"""A diagram as an SVG file that loads nothing, follows the reader's light or dark setting and can be part of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from tidegate.calculus.derivation.formula import Name
from tidegate.calculus.derivation.text import ACCENTS
from tidegate.calculus.diagram.layout import Layout
from tidegate.calculus.diagram.places import Place, Segment, label_is_above, width_of
from tidegate.calculus.diagram.wires import Point, Wire, wires

MARGIN = 18.0
HEAD = 8.0  # the length of an arrow head
CORNER = 6.0  # the radius of the bends

# The element and every class have a prefix: the style of an SVG inside a page applies to the whole page.
STYLE = """
.tg-flow { --paper: #ffffff; --ink: #1b1f24; --quiet: #5d6670; --box: #fff3d6; --edge: #9a6b00; --circle: #e8f1fa;
  --rim: #0b5c94; --x: #56606b; --state: #0b5c94; }
@media (prefers-color-scheme: dark) { .tg-flow { --paper: #16181b; --ink: #e8e8e4; --quiet: #a4acb5; --box: #3a3018;
  --edge: #d9a93c; --circle: #17293a; --rim: #6fb3e6; --x: #b0b8c0; --state: #6fb3e6; } }
.tg-flow text { font: 17px "STIX Two Math", "STIX Two Text", "Latin Modern Math", Cambria, Georgia, "DejaVu Serif",
  "Songti SC", "Noto Serif CJK SC", "Noto Serif SC", SimSun, serif; fill: var(--ink); text-anchor: middle; }
.tg-flow .tg-label { font-size: 15px; fill: var(--quiet); text-anchor: start; }
.tg-flow .tg-legend { font-size: 13px; fill: var(--quiet); text-anchor: start; }
.tg-flow .tg-small { font-size: 15px; }
.tg-flow .tg-sub { font-size: 72%; }
.tg-flow .tg-paper { fill: var(--paper); }
.tg-flow .tg-box { fill: var(--box); stroke: var(--edge); stroke-width: 1.4; }
.tg-flow .tg-circle { fill: var(--circle); stroke: var(--rim); stroke-width: 1.4; }
.tg-flow .tg-end { fill: var(--paper); stroke: var(--quiet); stroke-width: 1.2; }
.tg-flow .tg-wire { fill: none; stroke: var(--wire, var(--ink)); stroke-width: 1.5; stroke-linecap: square; }
.tg-flow .tg-head { fill: var(--wire, var(--ink)); }
.tg-flow .tg-of-x { --wire: var(--x); } .tg-flow .tg-of-state { --wire: var(--state); }
"""


def svg(layout: Layout, title: str, description: str, name: str, legend: Sequence[str]) -> str:
    """The SVG; `name` is what its title and description are referred to by, unique on a page. legend: its lines."""
    drawn: dict[int, list[Wire]] = {}
    for wire in wires(layout):
        drawn.setdefault(wire.source.value, []).append(wire)
    places = [place for layer in layout.layers for place in layer if place.node is not None]
    wide = max(layout.ends[-1][1], max(width_of(line, 11.4) for line in legend))
    width = wide + 2 * MARGIN
    height = layout.height + 2 * MARGIN + 19 * len(legend) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tg-flow" role="img" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" aria-labelledby="{name}-title {name}-text" '
        'style="max-width: 100%; height: auto">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-text">{escape(description)}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="tg-paper" width="{width:.0f}" height="{height:.0f}" rx="6"></rect>',
        f'<g transform="translate({MARGIN + (wide - layout.ends[-1][1]) / 2:.1f} {MARGIN})">',
        *(line for bundle in drawn.values() for line in wire_svg(bundle)),
        *(line for place in places for line in node_svg(place)),
        "</g>",
    ]
    for k, line in enumerate(legend):
        y = layout.height + 2 * MARGIN + 19 * k + 8
        lines.append(f'<text class="tg-legend" x="{MARGIN}" y="{y:.1f}">{escape(line)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def wire_svg(bundle: Sequence[Wire]) -> Iterator[str]:
    """One value on its way through all layers, as one line; its arrow heads, labels and dots."""
    kind = wire_class(bundle[0])
    lines, heads, labels = [], [], []
    for wire in bundle:
        for segment, corners in wire.paths:
            if segment.target.node is None:
                lines.append(rounded(corners, wire.dots))
                continue
            (x, y), before = corners[-1], corners[-2]
            dx, dy = toward((0, 0), (x - before[0], y - before[1]), 1)
            lines.append(rounded((*corners[:-1], (x - dx * (HEAD - 1), y - dy * (HEAD - 1))), wire.dots))
            heads.append(head(x, y, dx, dy))
            if segment.label:
                labels.append(label_svg(segment, x, y))
    yield f'<path class="tg-wire{kind}" d="{" ".join(lines)}"></path>'
    yield f'<path class="tg-head{kind}" d="{" ".join(heads)}"></path>'
    for wire in bundle:
        for x, y in wire.dots:
            yield f'<circle class="tg-head{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"></circle>'
    yield from labels


def head(x: float, y: float, dx: float, dy: float) -> str:
    """An arrow head with its tip at (x, y) in the direction (dx, dy)."""
    corners = [(0.0, 0.0), (-HEAD, HEAD * 0.45), (-HEAD * 0.78, 0.0), (-HEAD, -HEAD * 0.45)]
    return "M" + " L".join(f"{x + u * dx - v * dy:.1f} {y + u * dy + v * dx:.1f}" for u, v in corners) + " z"


def wire_class(wire: Wire) -> str:
    """The class of wires of x, and of those of old states; empty for all others."""
    place = wire.source
    while place.node is None:
        place = place.inputs[0].source
    if place.node.kind != "input":
        return ""
    label = place.node.label
    return " tg-of-x" if isinstance(label, Name) and label.time == 0 else " tg-of-state"


def label_svg(segment: Segment, x: float, y: float) -> str:
    left = x - HEAD - 5 - width_of(segment.label, 15)
    return text(segment.label, left, y - 8 if label_is_above(segment) else y + 17, "tg-label")


def rounded(corners: Sequence[Point], dots: Sequence[Point]) -> str:
    """The line through the corners, which are round except where the wire branches."""
    out = [f"M{corners[0][0]:.1f} {corners[0][1]:.1f}"]
    for before, (x, y), after in zip(corners, corners[1:], corners[2:]):
        if (x, y) in dots:
            out.append(f"L{x:.1f} {y:.1f}")
            continue
        radius = min(CORNER, *(max(abs(p[0] - x), abs(p[1] - y)) / 2 for p in (before, after)))
        (x1, y1), (x2, y2) = (toward((x, y), p, radius) for p in (before, after))
        out.append(f"L{x1:.1f} {y1:.1f} Q{x:.1f} {y:.1f} {x2:.1f} {y2:.1f}")
    out.append(f"L{corners[-1][0]:.1f} {corners[-1][1]:.1f}")
    return " ".join(out)


def toward(start: Point, end: Point, distance: float) -> Point:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(abs(dx), abs(dy)) or 1.0
    return start[0] + dx / length * distance, start[1] + dy / length * distance


def node_svg(place: Place) -> Iterator[str]:
    node, (a, b) = place.node, place.half
    assert node is not None
    if node.kind == "operation":
        yield f'<circle class="tg-circle" cx="{place.x:.1f}" cy="{place.y:.1f}" r="{a:.1f}"></circle>'
    elif node.kind != "parameter":
        shape, radius = ("tg-box", 4) if node.kind == "function" else ("tg-end", b)
        yield (
            f'<rect class="{shape}" x="{place.x - a:.1f}" y="{place.y - b:.1f}" width="{2 * a:.1f}" '
            f'height="{2 * b:.1f}" rx="{radius}"></rect>'
        )
    yield text(node.label, place.x, place.y + 5.5, "tg-small" * (node.kind == "operation" and len(str(node.label)) > 1))
    if node.name:
        yield text(node.name, place.x, place.y - b - 7)


def text(label: str | Name, x: float, y: float, kind: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text{of_kind} x="{x:.1f}" y="{y:.1f}">{marked(label)}</text>'


def marked(label: str | Name) -> str:
    """A name in italics with its subscript, or plain text."""
    if isinstance(label, str):
        return escape(label)
    time = "" if not isinstance(label.time, int) else '<tspan font-style="italic">t</tspan>'
    time += f"−{-label.time}" if isinstance(label.time, int) and label.time < 0 else ""
    sub = f'<tspan font-style="italic">{escape(label.sub)}</tspan>' if label.sub else ""
    below = sub + ("," if sub and time else "") + time
    base = f'<tspan font-style="italic">{escape(label.letter)}{ACCENTS[label.accent]}</tspan>'
    return base + (f'<tspan class="tg-sub" dy="0.28em">{below}</tspan>' if below else "")
