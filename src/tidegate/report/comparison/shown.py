"""What the sections of a comparison's page share: the colours of the arms, groups of arms, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from tidegate.comparing.comparison import ArmResult, Comparison
from tidegate.report.figures import Role
from tidegate.report.page import Markup

#: Cells are told apart by colour, settings by solid and dashed lines.
COLOURS: tuple[Role, ...] = ("first", "heldout", "train", "baseline", "second")
MOST = 2 * len(COLOURS)  # arms in one plot
Look = tuple[Role, bool]  # a colour, and whether the line is dashed


def groups(found: Comparison) -> list[tuple[str, list[ArmResult]]]:
    """The arms of each plot with its title: one plot, or where lines could not be told apart one for each setting."""
    settings = list(dict.fromkeys(map(setting, found.arms)))
    cells = {arm.cell for arm in found.arms}
    if len(found.arms) <= MOST and (len(cells) == 1 or len(settings) <= 2):
        return [("", list(found.arms))]
    if len(cells) == 1:
        return portions("", list(found.arms))
    by_setting = {own: [arm for arm in found.arms if setting(arm) == own] for own in settings}
    return [part for title, arms in by_setting.items() for part in portions(title, arms)]


def portions(title: str, arms: list[ArmResult]) -> list[tuple[str, list[ArmResult]]]:
    """At most MOST arms for each plot."""
    return [(title, arms[begin : begin + MOST]) for begin in range(0, len(arms), MOST)]


def looks(found: Comparison) -> dict[str, Look]:
    """How each arm is drawn, by its label: the same cell in the same colour on the whole page."""
    cells = list(dict.fromkeys(arm.cell for arm in found.arms))
    settings = list(dict.fromkeys(map(setting, found.arms)))
    if len(cells) == 1 or len(cells) > len(COLOURS):
        order = settings if len(cells) == 1 else cells
        return {arm.label: look(order.index(setting(arm) if order is settings else arm.cell)) for arm in found.arms}
    dashed = len(settings) == 2
    return {
        arm.label: (COLOURS[cells.index(arm.cell)], dashed and settings.index(setting(arm)) == 1) for arm in found.arms
    }


def look(number: int) -> Look:
    """The colour and the dashes of a line by its number."""
    return COLOURS[number % len(COLOURS)], number // len(COLOURS) % 2 == 1


def setting(arm: ArmResult) -> str:
    """The values of what is varied, such as "lr 0.1, init chrono"."""
    return ", ".join(f"{name} {value}" for name, value in arm.varied.items())


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table whose first column names the rows."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return Markup(
        f'<div class="scroll tall" tabindex="0" role="region" aria-label="table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def facts(values: Mapping[str, str]) -> Markup:
    """Names and values."""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in values.items())
    return Markup(f'<dl class="facts">{lines}</dl>')
