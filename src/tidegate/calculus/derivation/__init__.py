"""The derivation of a cell from its equations: BPTT, gradients, the step Jacobian and its bound, special cases."""

from tidegate.calculus.adjoint import adjoint
from tidegate.calculus.derivation.cases import case_section
from tidegate.calculus.derivation.document import FORMATS, Document
from tidegate.calculus.derivation.paths import bound_section, jacobian_section, unroll_section
from tidegate.calculus.derivation.recursion import backward_section, forward_section, gradient_section
from tidegate.calculus.step import Step
from tidegate.calculus.trace import trace
from tidegate.cells.cell import Cell
from tidegate.cells.find import find_cell
from tidegate.errors import ArgumentError

__all__ = ["FORMATS", "Document", "derive"]


def derive(cell: type[Cell] | Step | str, *, jacobian_only: bool = False, unroll: int = 0) -> Document:
    """The derivation of a cell as a Document; `.render("text")`, "latex", "markdown" or "html" writes it.

    `cell` is a class, a Step, or a name as on the command line. Everything printed comes from the traced equations and
    their adjoint; nothing is specific to one cell. `jacobian_only` leaves out the recursion and the gradients; `unroll`
    from 1 to 9 adds the product of so many step Jacobians, written out. Raises ArgumentError for another number or an
    unknown name, EquationError for equations that cannot be traced or are too large to be printed.
    """
    if not isinstance(unroll, int) or not 0 <= unroll <= 9:
        raise ArgumentError(f"`unroll` must be a whole number in 0..9, got {unroll!r}.")
    if isinstance(cell, str):
        cell = find_cell(cell)
    if not isinstance(cell, Step) and not (isinstance(cell, type) and issubclass(cell, Cell)):
        raise ArgumentError(
            f'`cell` must be a class that derives from tidegate.Cell, a Step or a name such as "gru", got {cell!r:.60}.'
        )
    step, description = (cell, "") if isinstance(cell, Step) else (trace(cell), cell.__doc__ or "")
    rule = adjoint(step)
    sections = [forward_section(step)]
    if not jacobian_only:
        sections += [backward_section(rule), gradient_section(rule)]
    sections += [jacobian_section(step), bound_section(step)]
    if unroll:
        sections.append(unroll_section(step, unroll))
    if not jacobian_only:
        sections.append(case_section(step))
    return Document(f"{step.name}: the derivation", description.strip().partition("\n")[0], tuple(sections))
