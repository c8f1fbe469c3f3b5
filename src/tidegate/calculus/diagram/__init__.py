"""Data-flow diagrams of cells, drawn from their traced equations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.calculus.derivation.notation import NOTATIONS, Notation
from tidegate.calculus.diagram.flow import flow
from tidegate.calculus.diagram.legend import SENTENCES, legend_of
from tidegate.calculus.diagram.letters import in_letters
from tidegate.calculus.step import Step
from tidegate.calculus.trace import trace
from tidegate.cells.cell import Cell
from tidegate.cells.find import find_cell
from tidegate.errors import ArgumentError

USUAL = ("tidegate", "en")

__all__ = ["Diagram", "diagram"]


@dataclass(frozen=True)
class Diagram:
    """A picture of one step of a cell. title, description: what a screen reader reads. svg: the file."""

    title: str
    description: str
    svg: str

    def __repr__(self) -> str:
        return f"<Diagram: {self.title}>"

    def _repr_svg_(self) -> str:
        return self.svg


def diagram(
    cell: type[Cell] | Step | str, *, until: Sequence[str] = (), notation: str = "tidegate", language: str = "en"
) -> Diagram:
    """The data flow of one step of a cell as a picture: x and the old states on the left, the new states on the right.

    A box adds its inputs and applies the function written in it; an arrow with a matrix W_g or U_g multiplies by this
    matrix and adds its bias b_g or c_g; circles are element-wise operations. Everything comes from the traced
    equations, so cells of your own are drawn too.

    `until` draws only the gates and states with these names, and what they are computed from: `until=("r", "z")` are
    the two gates of a GRU. `notation` chooses the letters, "tidegate", "nndl" or "d2l", and `language` the words, "en"
    or "zh", as for `derive`. Raises ArgumentError for an unknown name, EquationError for equations that cannot be
    traced or that need more than 150 nodes.
    """
    from tidegate.calculus.diagram.layout import layout
    from tidegate.calculus.diagram.svg import svg

    if isinstance(cell, str):
        cell = find_cell(cell)
    if not isinstance(cell, Step) and not (isinstance(cell, type) and issubclass(cell, Cell)):
        raise ArgumentError(
            f'`cell` must be a class that derives from tidegate.Cell, a Step or a name such as "gru", got {cell!r:.60}.'
        )
    if isinstance(until, str):
        raise ArgumentError(f"`until` must be a tuple of names such as ({until!r},), got {until!r}.")
    step = cell if isinstance(cell, Step) else trace(cell)
    for name, given, known in (("notation", notation, NOTATIONS), ("language", language, SENTENCES)):
        if given not in known:
            raise ArgumentError(f"`{name}` must be one of {', '.join(known)}, got {given!r}.")
    drawn = flow(step, until)  # before the letters: it refuses equations whose Adjoint would take long
    letters, sentences = NOTATIONS[notation](step), SENTENCES[language]
    drawn = in_letters(drawn, letters)
    part = sentences.part.format(names=", ".join(until)) if until else ""
    title = sentences.title.format(part=part, cell=step.name)
    names = "-".join(("flow", step.name, *until, *(name for name in (notation, language) if name not in USUAL)))
    description = described(step, letters, language)
    legend = list(legend_of(drawn, letters, sentences))
    return Diagram(title, description, svg(layout(drawn), title, description, re.sub(r"\W+", "-", names), legend))


def described(step: Step, letters: Notation, language: str) -> str:
    """The equations of the step, for a screen reader."""
    sentences = SENTENCES[language]
    if not letters.nets:
        lines = [line.strip() for line in str(step).splitlines()[1:]]
        return sentences.equations.format(inputs=sentences.inputs, equations=sentences.separator.join(lines))
    from tidegate.calculus.derivation import derive
    from tidegate.calculus.derivation.parts import Equation
    from tidegate.calculus.derivation.text import text

    page = derive(step, jacobian_only=True, steps="brief", notation=letters.name, language=language)
    lines = [" = ".join(map(text, e.parts)) for e in page.sections[0].body if isinstance(e, Equation)]
    return sentences.equations.format(inputs="", equations=sentences.separator.join(lines))
