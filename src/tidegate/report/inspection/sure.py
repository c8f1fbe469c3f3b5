"""The last sections: an experiment by the reader, the equations of the cell, and the checks and limits."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tidegate.calculus.derivation import derive
from tidegate.calculus.derivation.document import sections_html
from tidegate.report.inspection.run import Run
from tidegate.report.page import Answer, Markup, Section


def what_if(*, live: bool) -> Section | None:
    """The experiment, which needs the model in the page."""
    if not live:
        return None
    return Section(
        "what-if",
        "What if?",
        [
            Answer(
                "Mark a place in the text and replace it, to see which predictions change; or hold the chosen unit at "
                "its mean, so that it carries no information. The text is then coloured by how much each prediction "
                "changed."
            )
        ],
        [Markup('<div id="experiment"></div>')],
        [
            "The change of a prediction is measured by the total variation distance: half the sum, over all possible "
            "next tokens, of the absolute change of their probabilities. It is 0 if nothing changed, and 1 if tokens "
            "that were possible before have no probability now.",
        ],
    )


def equations(runs: Sequence[Run]) -> Section:
    """The cell's step and its Jacobian, as `tidegate derive` writes them; once for runs of the same cell."""
    steps = list(dict.fromkeys(run.step for run in runs))
    found = []
    for step in steps:
        document = derive(step, jacobian_only=True)
        title = f"<h3>{escape(step.name)}</h3>" if len(steps) > 1 else ""
        found.append(
            Markup(f'{title}<div class="equations">{sections_html(document.sections[:2], heading="h3")}</div>')
        )
    return Section(
        "equations",
        "What does a step compute?",
        [
            Answer(
                "These are the equations of the cell, from which everything on this page was generated: the "
                "measurements, and the program that runs in it. x is the input of a step, W and U are the weight "
                "matrices, b and c the biases; ⊙ is the element-wise product, σ the logistic function 1 / (1 + "
                "exp(−x))."
            )
        ],
        found,
    )


def sure(runs: Sequence[Run], *, missing: str) -> Section:
    """What was checked, what could not be measured, the facts of the run, and what the page does not show."""
    lines = []
    for run in runs:
        name = f"{run.name}: " if len(runs) > 1 else ""
        lines += [
            f"<li>{escape(name + what.replace('_', ' '))} not measured: {escape(why)}</li>"
            for what, why in run.found.not_measured.items()
        ]
        if not missing:
            waiting = "The model has not been run in this page yet."
            lines.append(f'<li>{escape(name)}<span data-replay="{run.number}">{waiting}</span></li>')
    parts = [Markup(f"<ul>{''.join(lines)}</ul>")] + [Markup(facts(run, titled=len(runs) > 1)) for run in runs]
    limits = (
        "This page does not show that the model understands anything: it shows which parts of the past its predictions "
        "depend on, for this text and these weights. In another training run with the same settings, other units may "
        "track a feature."
    )
    return Section(
        "sure",
        "What was checked, and what does the page not show?",
        [Answer(words) for words in (limits, missing) if words],
        parts,
    )


def facts(run: Run, *, titled: bool) -> str:
    """The facts of the run that are a single value each."""
    rows = [
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(shown(value))}</dd>"
        for name, value in {**run.about, **run.about["versions"], "text": run.found.text["name"]}.items()
        if isinstance(value, str | int | float | list)
    ]
    title = f"<h3>{escape(run.name)}</h3>" if titled else ""
    return f'{title}<dl class="facts">{"".join(rows)}</dl>'


def shown(value: str | int | float | list) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else value
