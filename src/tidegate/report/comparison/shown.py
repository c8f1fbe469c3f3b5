"""What the sections of a comparison's page share: the colours of the arms, groups of arms, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from tidegate.comparing.comparison import ArmResult, Comparison
from tidegate.report.figures import Role
from tidegate.report.page import Markup

#: Arms are told apart by colour, then by solid and dashed lines.
COLOURS: tuple[Role, ...] = ("first", "heldout", "second", "train", "baseline")
MOST = 2 * len(COLOURS)  # arms in one plot


def groups(found: Comparison) -> list[tuple[str, list[ArmResult]]]:
    """The arms of each plot with a title: all of them, or the cells of one setting each where they are too many."""
    if len(found.arms) <= MOST:
        return [("", list(found.arms))]
    by_setting: dict[str, list[ArmResult]] = {}
    for arm in found.arms:
        by_setting.setdefault(setting(arm), []).append(arm)
    return [
        (f"{title} {part + 1}" if len(arms) > MOST and title else title, arms[begin : begin + MOST])
        for title, arms in by_setting.items()
        for part, begin in enumerate(range(0, len(arms), MOST))
    ]


def setting(arm: ArmResult) -> str:
    """The values of what is varied, such as "lr 0.1, init chrono"."""
    return ", ".join(f"{name} {value}" for name, value in arm.varied.items())


def colour(number: int) -> tuple[Role, bool]:
    """The role of the arm of this number in a plot, and whether its line is dashed."""
    return COLOURS[number % len(COLOURS)], number // len(COLOURS) % 2 == 1


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
