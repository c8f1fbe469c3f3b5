"""Lines of equations in LaTeX: those that are wider than the page are broken, or their notes put below them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tidegate.calculus.derivation.latex_width import TOKEN, measure, note_width

PAGE = 460.0  # points between the margins of the article, less a few: widths are estimates
INDENT = 20.0  # points of \qquad
GAP = 10.0  # points between an equation and a note beside it

#: Where a line may be broken, with the strength of the operation: the weakest is broken first.
BREAKS = {"=": 0, r"\le": 0, r"\ge": 0, "+": 1, "-": 1, r"\,": 2, r"\odot": 3}


@dataclass(frozen=True)
class Line:
    """A row of an alignment: `formula`, with & at the place that is aligned, and what is noted beside it. `below`: the
    note alone. `together`: no new page after this line."""

    formula: str
    note: tuple[str, ...] = ()
    below: bool = False
    together: bool = False


def fitted(lines: Sequence[Line]) -> list[Line]:
    """The lines, those that are wider than the page broken; notes below their formulas where both have no room."""
    room = PAGE - max(measure(line.formula.partition("&")[0]) for line in lines)
    found = [boxed(each, room) for line in lines for each in in_pieces(line, room)]
    while True:
        # Notes beside formulas stand in a column of their own, right of the widest formula, or note below one.
        widest = max(INDENT + note_width(line.note) if line.below else right_width(line) for line in found)
        moved = [line.note and not line.below and widest + GAP + note_width(line.note) > room for line in found]
        if not any(moved):
            return found
        found = [each for line, move in zip(found, moved) for each in (note_below(line, room) if move else [line])]


def in_pieces(line: Line, room: float) -> Iterator[Line]:
    before, _, right = line.formula.partition("&")
    first, *more = pieces(right, room)
    if not more:
        yield line
        return
    yield Line(f"{before}&{first}", together=True)
    yield from (Line(rf"&\qquad {each}", together=True) for each in more[:-1])
    yield replace(line, formula=rf"&\qquad {more[-1]}")


def note_below(line: Line, room: float) -> list[Line]:
    return [replace(line, note=(), together=True), boxed(replace(line, formula="", below=True), room)]


def right_width(line: Line) -> float:
    """The width of what stands right of the place that is aligned."""
    return measure(line.formula.partition("&")[2])


def boxed(line: Line, room: float) -> Line:
    """A note below its formula as a paragraph, where it is wider than the page."""
    if not line.below or INDENT + note_width(line.note) <= room:
        return line
    words = r"\quad ".join(line.note)
    return replace(
        line, formula=rf"&\qquad \parbox[t]{{{room - INDENT:.0f}pt}}{{\raggedright {words}}}", note=(), below=False
    )


def written(line: Line, column: str) -> str:
    """The row; `column` stands before a note beside its formula."""
    note = r"\quad ".join(rf"\text{{{words}}}" for words in line.note)
    row = rf"&\qquad {note}" if line.below else line.formula + f"{column}{note}" * bool(note)
    return row + (r" \\*" if line.together else r" \\")


def pieces(formula: str, room: float) -> list[str]:
    r"""A formula in lines that have room, as far as it can be broken; \left and \right are balanced in each line."""
    found: list[str] = []
    while measure(formula) > room - INDENT * bool(found):
        places = [place for place in breaks(formula) if place.width <= room - INDENT * bool(found)]
        wide = [place for place in places if place.width > room / 3] or places
        if not wide:
            break
        at = min(wide, key=lambda place: (place.depth, place.strength, -place.width))
        head, tail = formula[: at.index].rstrip(), formula[at.index :]
        tail = r"{} \cdot " + tail.removeprefix(r"\,").lstrip() if tail.startswith(r"\,") else "{} " + tail
        found.append(head + r" \right." * at.depth)
        formula = r"\left. " * at.depth + tail
    return [*found, formula]


@dataclass(frozen=True)
class Place:
    """Where a formula can be broken: at how many points from its beginning, in how many brackets."""

    index: int
    width: float
    depth: int
    strength: int


def breaks(formula: str) -> Iterator[Place]:
    braces = depth = 0
    seen = False  # whether something stands before, so that a sign is not the first
    for token in TOKEN.finditer(formula):
        match token[0]:
            case "{" | r"\begin":
                braces += 1
            case "}" | r"\end":
                braces -= 1
            case r"\left":
                depth += 1
                seen = False
                continue
            case r"\right":
                depth -= 1
            case sign if sign in BREAKS and not braces and seen:
                yield Place(token.start(), measure(formula[: token.start()]), depth, BREAKS[sign])
        seen = seen or (token[0] not in "(|.{}" and not token[0].isspace() and token[0] not in BREAKS)
