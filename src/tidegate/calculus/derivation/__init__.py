"""The derivation of a cell from its equations: loss, BPTT, gradients, the step Jacobian, bounds, special cases."""

from tidegate.calculus.derivation.backward import backward_section
from tidegate.calculus.derivation.bounds import bound_section
from tidegate.calculus.derivation.cases import case_sections
from tidegate.calculus.derivation.document import FORMATS, Document
from tidegate.calculus.derivation.double_sum import double_sum_section, error_section
from tidegate.calculus.derivation.forward import forward_section
from tidegate.calculus.derivation.gradients import gradient_section
from tidegate.calculus.derivation.language import LANGUAGES
from tidegate.calculus.derivation.notation import NOTATIONS
from tidegate.calculus.derivation.notation_section import notation_section
from tidegate.calculus.derivation.output import output_section
from tidegate.calculus.derivation.parts import Section
from tidegate.calculus.derivation.paths import jacobian_section, unroll_section
from tidegate.calculus.derivation.roles import in_convention, keepers
from tidegate.calculus.derivation.rows import in_rows
from tidegate.calculus.derivation.setting import Setting
from tidegate.calculus.derivation.sources import labels, own_source, source_section, summary
from tidegate.calculus.derivation.verdicts import remedy_section
from tidegate.calculus.step import Step
from tidegate.calculus.trace import trace
from tidegate.cells.cell import Cell
from tidegate.cells.find import find_cell
from tidegate.errors import ArgumentError

STEPS, CONVENTIONS = ("full", "brief"), ("keep", "write")

__all__ = ["CONVENTIONS", "FORMATS", "LANGUAGES", "NOTATIONS", "STEPS", "Document", "derive"]


def derive(
    cell: type[Cell] | Step | str,
    *,
    jacobian_only: bool = False,
    unroll: int = 0,
    steps: str = "full",
    notation: str = "tidegate",
    convention: str | None = None,
    language: str = "en",
) -> Document:
    """The derivation of a cell as a Document; `.render("text")`, "latex", "markdown" or "html" writes it.

    `cell` is a class, a Step, or a name as on the command line. Everything printed comes from the traced equations and
    their adjoint; nothing is specific to one cell.

    * `jacobian_only` leaves out the recursion and the gradients; `unroll` from 1 to 9 adds the product of so many step
      Jacobians, written out.
    * `steps`: "full" shows every intermediate step with its reason, "brief" the results.
    * `notation`: the letters of "tidegate", "nndl" or "d2l"; the last in rows, with capitals.
    * `convention`: "keep" for update gates that keep the state at 1, "write" for those that replace it at 1; as the
      equations have it by default.
    * `language`: "en" or "zh".

    Raises ArgumentError for another value, an unknown name, or a convention for a cell without an update gate;
    EquationError for equations that cannot be traced or are too large to be printed.
    """
    if not isinstance(unroll, int) or not 0 <= unroll <= 9:
        raise ArgumentError(f"`unroll` must be a whole number in 0..9, got {unroll!r}.")
    for name, given, known in (
        ("steps", steps, STEPS), ("notation", notation, NOTATIONS), ("language", language, LANGUAGES),
        ("convention", convention, (None, *CONVENTIONS)),
    ):  # fmt: skip
        if given not in known:
            raise ArgumentError(f"`{name}` must be one of {', '.join(filter(None, known))}, got {given!r}.")
    if isinstance(cell, str):
        cell = find_cell(cell)
    if not isinstance(cell, Step) and not (isinstance(cell, type) and issubclass(cell, Cell)):
        raise ArgumentError(
            f'`cell` must be a class that derives from tidegate.Cell, a Step or a name such as "gru", got {cell!r:.60}.'
        )
    step, text = (cell, "") if isinstance(cell, Step) else (trace(cell), cell.__doc__ or "")
    chosen = step if convention is None else converted(step, convention)
    before, after = ({(g, value) for g, value, _ in keepers(each)} for each in (step, chosen))
    swapped = tuple(g for g in step.gates if any(g == gate for gate, _ in before - after))
    names = labels(text, step.gates)
    setting = Setting(chosen, NOTATIONS[notation](chosen), LANGUAGES[language], steps == "full", names, swapped)
    sections = chapters(setting, own_source(text), jacobian_only=jacobian_only, unroll=unroll)
    if setting.notation.rows:
        sections = [in_rows(section) for section in sections]
    subtitle = summary(text) if language == "en" else ""
    title = setting.language.text("title", cell=step.name)
    return Document(title, subtitle, tuple(sections), language, notation, chosen)


def converted(step: Step, convention: str) -> Step:
    """The step in the convention; ArgumentError for a cell to which it does not apply."""
    if not any(True for _ in keepers(step)):
        raise ArgumentError(
            f"`convention` is about gates that alone keep or replace a state, and {step.name} has none: leave it out."
        )
    return in_convention(step, convention)


def chapters(setting: Setting, source: str, *, jacobian_only: bool, unroll: int) -> list[Section]:
    """The sections in their order."""
    unrolled = [unroll_section(setting, unroll)] if unroll else []
    if jacobian_only:
        return [
            forward_section(setting, introduced=False), jacobian_section(setting), bound_section(setting), *unrolled,
        ]  # fmt: skip
    shown = [double_sum_section(setting), error_section(setting)] if setting.full else []
    return [
        notation_section(setting), forward_section(setting, introduced=True), output_section(setting), *shown,
        backward_section(setting), gradient_section(setting), jacobian_section(setting), bound_section(setting),
        remedy_section(setting), *unrolled, *case_sections(setting), source_section(setting, source),
    ]  # fmt: skip
