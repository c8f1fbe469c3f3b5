"""The sections on fairness and certainty: sizes, learning rates, what was done, and what the page does not show."""

from __future__ import annotations

import dataclasses
from html import escape

from tidegate.calculus import Step, serial
from tidegate.calculus.derivation import derive
from tidegate.calculus.derivation.document import sections_html
from tidegate.comparing.comparison import Comparison
from tidegate.comparing.sentences import count, matched
from tidegate.report.comparison.shown import facts, groups, looks, table
from tidegate.report.comparison.terminal import figures_rows
from tidegate.report.figures import Axis, Plot, Series
from tidegate.report.page import Answer, Markup, Section


def rates(found: Comparison) -> Section | None:
    """The learning rates that were tried; None where the rate was given."""
    if not any(arm.rate.trials for arm in found.arms):
        return None
    metric, drawn, parts = found.task["metric"], looks(found), []
    for number, (title, arms) in enumerate(groups(found)):
        series = []
        for arm in arms:
            role, dashed = drawn[arm.label]
            tried = arm.rate.trials
            series.append(
                Series(arm.label, role, [t.rate for t in tried], [t.score for t in tried], points=True, dashed=dashed)
            )
        said = "; ".join(f"{arm.label} {arm.rate.rate:g}" for arm in arms)
        axis = Axis(f"mean {metric}")
        parts.append(
            Plot(f"rates-{number}", f"Chosen learning rates: {said}.", Axis("learning rate", "log"), axis, series,
                 caption=title)
        )  # fmt: skip
    edge = [arm.label for arm in found.arms if arm.rate.unfinished]
    said = (
        f"Unfinished: the best rate of {', '.join(edge)} is at the edge of those tried, so a better one may lie beyond."
        if edge
        else "The best rate of every arm is inside the range that was tried."
    )
    return Section(
        "rates",
        "Did each have its best learning rate?",
        [Answer(said)],
        parts,
        [
            "Every arm was trained with the same learning rates, for as many steps, with "
            f"{count(len(found.tuning_seeds), 'seed')} used for nothing else. Its rate is the one with which most of "
            "them solved the task, then the one that needed the fewest steps, then the one with the best score.",
        ],
    )


def further(found: Comparison) -> Section | None:
    """Further tests and figures of the task; None where it has none."""
    rows = figures_rows(found)
    if not rows[0][1:]:
        return None
    (columns, *lines) = rows
    return Section("further", "Further tests", [Answer("Medians over the seeds.")], [table(columns, lines)])


def samples(found: Comparison) -> Section | None:
    """What language models write, side by side; None for other tasks."""
    if not any(arm.outcomes[0].sample for arm in found.arms):
        return None
    panels = "".join(
        f'<div class="panel"><h3>{escape(arm.label)}</h3><div class="text">{escape(arm.outcomes[0].sample)}</div></div>'
        for arm in found.arms
    )
    seed = found.seeds[0]
    said = f"Each network wrote this after training with seed {seed}; all drew with the same random numbers."
    return Section(
        "samples", "What do they write?", [Answer(said)], [Markup(f'<div class="panels two">{panels}</div>')]
    )


def equations(found: Comparison) -> Section:
    """The equations of every cell."""
    steps: dict[str, Step] = {arm.cell: serial.loads(arm.equations) for arm in found.arms}
    parts = [
        Markup(
            f'<details><summary>{escape(name)}</summary><div class="equations">'
            f"{sections_html(derive(step, jacobian_only=True).sections[:1], heading='h3')}</div></details>"
        )
        for name, step in steps.items()
    ]
    said = (
        "x is the input of a step, W, U and the b, c are the weights; ⊙ multiplies unit by unit, σ is the logistic "
        "function 1 / (1 + exp(−x)). A linear layer after the last step reads the answer from h."
    )
    return Section("equations", "What is compared?", [Answer(said)], parts)


def sure(found: Comparison) -> Section:
    """What was done, and what the page does not show."""
    first = found.arms[0].settings
    varied = set(found.arms[0].varied)
    settings = {
        field.name.replace("_", " "): str(getattr(first, field.name))
        for field in dataclasses.fields(first)
        if field.name not in {"hidden", "lr", "eval_every"} | varied
    }
    parameters = ", ".join(f"{name} {value}" for name, value in found.task["parameters"].items())
    described = {
        "task": found.task["name"] + (f" ({parameters})" if parameters else ""),
        "source of the task": found.task["source"],
        "seeds": ", ".join(map(str, found.seeds)),
        **settings,
        "steps between evaluations": str(first.interval),
        "versions": ", ".join(f"{name} {version}" for name, version in found.versions.items()),
    }
    said = [
        Answer(matched(found)),
        Answer(
            "This page does not show which cell is better on other tasks, with other budgets, or with settings that "
            f"were not tried. Its differences are those of {count(len(found.seeds), 'seed')}."
        ),
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in found.notes)
    parts = [Markup(f"<ul>{notes}</ul>")] if notes else []
    return Section("sure", "How sure is this?", said, [*parts, facts(described)])
