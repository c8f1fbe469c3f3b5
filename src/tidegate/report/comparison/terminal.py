"""The results of a comparison in a terminal: a table of the arms, the verdicts, and the notes."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tidegate.comparing.comparison import ArmResult, Comparison
from tidegate.comparing.sentences import headline, shown, troubles, verdict_sentence, verdict_sentences
from tidegate.train.status import visible

NONE = "-"


def print_comparison(console: Console, found: Comparison) -> None:
    """Print a row for each arm, then a sentence for each verdict and note."""
    say(console, "\n" + headline(found))
    say(console, limits(found))
    console.print()
    print_table(console, as_table(columns(found), map(arm_cells, found.arms)))
    for arm in found.arms:
        for trouble in troubles(arm):
            say(console, f"{arm.label}: {trouble}.")
    names, *rows = figures_rows(found)
    if len(names) > 1:
        say(console, "\nFurther tests and figures: the median over the seeds.")
        print_table(console, as_table(names, rows))
    for arm in found.arms:
        if arm.outcomes[0].sample:
            say(console, f"\n{arm.label} writes:")
            say(console, f"    {visible(arm.outcomes[0].sample)}", "italic")
    if found.verdicts:
        console.print()
    better = [verdict_sentence(verdict) for verdict in found.verdicts if verdict.kind == "better"]
    for said in verdict_sentences(found.verdicts):
        say(console, said, "bold" if said in better else "")
    if found.notes:
        console.print()
    for note in found.notes:
        say(console, note)


def limits(found: Comparison) -> str:
    """What the scores lie between."""
    first = found.arms[0]
    if any((arm.chance, arm.best, arm.solved) != (first.chance, first.best, first.solved) for arm in found.arms):
        return "The score of a guess, the best score and that of a solved task depend on what is varied."
    best = "" if first.best is None else f"; the best possible is {shown(first.best)}"
    return f"A guess scores {shown(first.chance)}{best}; from {shown(first.solved)} on the task counts as solved."


def columns(found: Comparison) -> list[str]:
    """The names of the columns of `arm_cells`."""
    score = f"{found.task['metric']} (quartiles)"
    return ["", "units", "recurrent weights", "lr", score, "solved (95 % limits)", "steps", "seconds"]


def arm_cells(arm: ArmResult) -> list[str]:
    """The columns of a row."""
    own = arm.summary
    score = share = NONE
    if own.score is not None:
        low, middle, high = own.score
        score = f"{shown(middle)} ({shown(low)}–{shown(high)})"
    if own.share_low is not None and own.share_high is not None:
        share = f"{own.solved}/{own.runs} ({100 * own.share_low:.0f}–{100 * own.share_high:.0f} %)"
    return [
        arm.label,
        f"{arm.settings.hidden:,}",
        f"{arm.recurrent_weights:,}",
        f"{arm.rate.rate:g}" + "?" * arm.rate.unfinished,
        score,
        share,
        NONE if own.steps is None else f"{own.steps:,.0f}",
        NONE if own.seconds is None else shown(own.seconds),
    ]


def figures_rows(found: Comparison) -> list[list[str]]:
    """The medians of the further tests and figures: the names of the columns, then a row for each arm."""
    by_arm = [{**arm.summary.tests, **arm.summary.figures} for arm in found.arms]
    names = list(dict.fromkeys(name for own in by_arm for name in own))
    cells = [[shown(own[name]) if name in own else NONE for name in names] for own in by_arm]
    return [["", *names], *([arm.label, *own] for arm, own in zip(found.arms, cells))]


def as_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose first column names the rows."""
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for name in columns:
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def print_table(console: Console, table: Table) -> None:
    """Print a table at its full width: a narrow terminal wraps its lines, but no cell is folded or cut."""
    wide = console.options.update(max_width=10_000)
    lines = console.render_lines(table, wide.update(max_width=Measurement.get(console, wide, table).maximum), pad=False)
    for line in lines:
        text = Text.assemble(*((part.text, part.style or "") for part in line))
        text.rstrip()
        console.print(text, soft_wrap=True)


def say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True)
