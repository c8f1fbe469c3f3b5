"""The results of a comparison in a terminal: a table of the arms, the verdicts, and the notes."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tidegate.comparing.comparison import ArmResult, Comparison
from tidegate.comparing.sentences import headline, shown, troubles, verdict_sentence
from tidegate.train.status import visible

NONE = "-"


def print_comparison(console: Console, found: Comparison) -> None:
    """Print a row for each arm, then a sentence for each verdict and note."""
    say(console, "\n" + headline(found))
    say(console, limits(found))
    console.print()
    print_table(console, arms_table(found))
    for arm in found.arms:
        for trouble in troubles(arm):
            say(console, f"{arm.label}: {trouble}.")
    tests = tests_table(found)
    if tests is not None:
        say(console, "\nFurther tests and figures: the median over the seeds.")
        print_table(console, tests)
    for arm in found.arms:
        if arm.outcomes[0].sample:
            say(console, f"\n{arm.label} writes:")
            say(console, f"    {visible(arm.outcomes[0].sample)}", "italic")
    if found.verdicts:
        console.print()
    for verdict in found.verdicts:
        say(console, verdict_sentence(verdict), "bold" if verdict.kind == "better" else "")
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


def arms_table(found: Comparison) -> Table:
    """The arms: sizes, learning rate, and medians over the seeds."""
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for name in ("", "units", "recurrent weights", "lr"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_column(f"{found.task['metric']} (quartiles)", justify="right")
    for name in ("solved (95 % limits)", "steps", "seconds"):
        table.add_column(name, justify="right")
    for arm in found.arms:
        table.add_row(*map(Text, arm_cells(arm)))
    return table


def arm_cells(arm: ArmResult) -> list[str]:
    """The columns of a row."""
    own = arm.summary
    score = share = NONE
    if own.score is not None:
        low, middle, high = own.score
        score = f"{shown(middle)} ({shown(low)}–{shown(high)})"
    if own.share_low is not None and own.share_high is not None:
        share = f"{own.solved}/{own.runs} ({own.share_low:.0%}–{own.share_high:.0%})"
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


def tests_table(found: Comparison) -> Table | None:
    """The further tests and figures; None where the task has none."""
    found_by_arm = [{**arm.summary.tests, **arm.summary.figures} for arm in found.arms]
    names = list(dict.fromkeys(name for own in found_by_arm for name in own))
    if not names:
        return None
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for name in ("", *names):
        table.add_column(name, justify="left" if not name else "right")
    for arm, own in zip(found.arms, found_by_arm):
        scores = (own.get(name) for name in names)
        table.add_row(Text(arm.label), *(NONE if score is None else shown(score) for score in scores))
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
