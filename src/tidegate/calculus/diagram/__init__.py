"""Data-flow diagrams of cells, drawn from their traced equations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.calculus.diagram.flow import flow
from tidegate.calculus.step import Step
from tidegate.calculus.trace import trace
from tidegate.cells.cell import Cell
from tidegate.cells.find import find_cell
from tidegate.errors import ArgumentError

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


def diagram(cell: type[Cell] | Step | str, *, until: Sequence[str] = ()) -> Diagram:
    """The data flow of one step of a cell as a picture: x and the old states on the left, the new states on the right.

    A box adds its inputs and applies the function written in it; an arrow with a matrix W_g or U_g multiplies by this
    matrix and adds its bias b_g or c_g; circles are element-wise operations. Everything comes from the traced
    equations, so cells of your own are drawn too.

    `until` draws only the gates and states with these names, and what they are computed from: `until=("r", "z")` are
    the two gates of a GRU. Raises ArgumentError for an unknown name, EquationError for equations that cannot be traced
    or that need more than 150 nodes.
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
    part = f"{', '.join(until)} of " if until else ""
    title = f"Data flow of {part}one step of the cell {step.name}"
    names = re.sub(r"\W+", "-", "-".join(("flow", step.name, *until)))
    lines = [line.strip() for line in str(step).splitlines()[1:]]
    description = "The equations, with a = W x + b for each gate: " + "; ".join(lines) + "."
    return Diagram(title, description, svg(layout(flow(step, until)), title, description, names))
