"""The sections of the scores: at the end, with every seed as a dot, and while training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidegate.comparing.comparison import ArmResult, Comparison
from tidegate.comparing.sentences import arm_sentence, shown, troubles
from tidegate.report.comparison.shown import groups, look, looks, table
from tidegate.report.comparison.terminal import arm_cells, columns
from tidegate.report.figures import Axis, Key, Mark, Plot, Row, Rows, Series
from tidegate.report.page import Answer, Section


def scores(found: Comparison) -> Section:
    """Final scores and the shares of seeds that solved the task."""
    metric, drawn = found.task["metric"], looks(found)
    said = [Answer(f"{arm.label}: {trouble}.") for arm in found.arms for trouble in troubles(arm)]
    dots = [
        Row(
            arm.label,
            drawn[arm.label][0],
            *middle(arm),
            [run.score for run in arm.outcomes],
            missing="every job failed",
        )
        for arm in found.arms
    ]
    shares = [
        Row(arm.label, drawn[arm.label][0], arm.summary.share, arm.summary.share_low, arm.summary.share_high)
        for arm in found.arms
    ]
    return Section(
        "scores",
        "How well does each do at the end?",
        said,
        [
            table(columns(found), map(arm_cells, found.arms)),
            Rows(
                "scores",
                " ".join(arm_sentence(found, arm) for arm in found.arms),
                Axis(f"final {metric} ({'more' if found.task['higher_is_better'] else 'less'} is better)"),
                dots,
                [Key("median, with quartiles", "ink"), Key("one seed", "baseline", faint=True)],
                spread=True,
            ),
            Rows(
                "solved",
                "Share of seeds that solved the task: "
                + ", ".join(f"{arm.label} {arm.summary.solved} of {arm.summary.runs}" for arm in found.arms)
                + ".",
                Axis("share of seeds that solved the task", range=(0, 1)),
                shares,
                [Key("share, with Wilson's 95 % limits", "ink")],
                decimals=2,
            ),
        ],
        [
            f"The score is measured on sequences that no network was trained on, the same for all; {limits(found)} A "
            "run that diverged has the score of a guess.",
            "A median can hide that some seeds fail: the second figure shows how many did. Its limits are wide where "
            "seeds are few.",
        ],
    )


def middle(arm: ArmResult) -> tuple[float | None, float | None, float | None]:
    """The median and the quartiles, as a row has them."""
    if arm.summary.score is None:
        return None, None, None
    low, median, high = arm.summary.score
    return median, low, high


def limits(found: Comparison) -> str:
    first = found.arms[0]
    best = "" if first.best is None else f" the best possible score is {shown(first.best)};"
    return f"a guess scores {shown(first.chance)};{best} from {shown(first.solved)} on the task counts as solved."


def learning(found: Comparison) -> Section:
    """The learning curves, and the time until the task was solved."""
    parts: list[Any] = [curve(found, k, title, arms) for k, (title, arms) in enumerate(groups(found))]
    return Section(
        "learning",
        "How fast does each learn?",
        [],
        [*parts, *until_solved(found)],
        [
            "Lines are the median over the seeds, bands reach from the lower to the upper quartile. A run ends when "
            "it has solved the task at two evaluations in a row, and keeps its last score from then on. "
            "Steps, not seconds: the table above has the seconds of training on one thread.",
        ],
    )


def curve(found: Comparison, number: int, title: str, arms: Sequence[ArmResult]) -> Plot:
    """Score against training steps, or against seconds where training time is equal."""
    series, drawn = [], looks(found)
    for arm in arms:
        role, dashed = drawn[arm.label]
        x = arm.summary.curve_steps * (arm.step_seconds or 1.0)
        low, median, high = arm.summary.curve.T
        points = len(x) == 1
        series.append(
            Series(
                arm.label, role, x.tolist(), median.tolist(), low.tolist(), high.tolist(), line=not points,
                points=points, dashed=dashed,
            )
        )  # fmt: skip
    first = arms[0]
    marks = [Mark("y", first.chance, "a guess", "baseline"), Mark("y", first.solved, "solved", "ink")]
    known = [v for own in series for v in own.y if v is not None]
    spread = not found.task["higher_is_better"] and known and 0 < 20 * min(known) < max(known)
    said = f"{found.task['metric']} while training: " + "; ".join(
        f"{arm.label} {shown(arm.summary.score[1])} at the end" for arm in arms if arm.summary.score is not None
    )
    unit = "seconds of training" if first.step_seconds else "training steps"
    axis = Axis(found.task["metric"], "log" if spread else "linear")
    return Plot(f"curves-{number}", f"{said}.", Axis(unit, zero=True), axis, series, marks, caption=title)


def until_solved(found: Comparison) -> Iterator[Rows]:
    """The steps until the task was solved, one dot for each seed; not where no seed solved it."""
    if not any(arm.summary.solved for arm in found.arms):
        return
    rows, drawn = [], looks(found)
    for arm in found.arms:
        steps = [float(run.solved_at) for run in arm.outcomes if run.solved_at is not None]
        missing = "not solved by half of the seeds" if steps else "not solved"
        rows.append(Row(arm.label, drawn[arm.label][0], arm.summary.steps, others=steps, missing=missing))
    said = "; ".join(f"{row.label}: {row.missing if row.value is None else f'{row.value:,.0f} steps'}" for row in rows)
    keys = [Key("median over all seeds", "ink"), Key("one seed that solved it", "baseline", faint=True)]
    yield Rows(
        "steps",
        f"Steps until the task was solved. {said}.",
        Axis("steps until solved"),
        rows,
        keys,
        decimals=0,
        spread=True,
    )


def against(found: Comparison) -> Section | None:
    """The score against each thing that is varied over numbers: accuracy by lag, for one."""
    parts = [
        plot
        for name in found.arms[0].varied
        if len(values := {arm.varied[name] for arm in found.arms}) > 2
        and all(isinstance(value, int | float) for value in values)
        for plot in [varied(found, name)]
    ]
    if not parts:
        return None
    return Section("varied", "What does the score depend on?", [], parts)


def varied(found: Comparison, name: str) -> Plot:
    """Median scores against one varied number; a line for each cell and each combination of the others."""
    lines: dict[str, list[ArmResult]] = {}
    for arm in found.arms:
        rest: Mapping[str, Any] = {other: value for other, value in arm.varied.items() if other != name}
        lines.setdefault(", ".join([arm.cell, *(f"{n} {v}" for n, v in rest.items())]), []).append(arm)
    series = []
    for k, (label, arms) in enumerate(lines.items()):
        role, dashed = look(k)
        known = sorted((arm for arm in arms if arm.summary.score is not None), key=lambda arm: arm.varied[name])
        columns_of = [arm.summary.score for arm in known if arm.summary.score is not None]
        low, median, high = ([own[i] for own in columns_of] for i in range(3))
        x = [float(arm.varied[name]) for arm in known]
        series.append(Series(label, role, x, median, low, high, points=True, dashed=dashed))
    values = [arm.varied[name] for arm in found.arms]
    axis = Axis(name, "log" if min(values) > 0 and max(values) >= 10 * min(values) else "linear")
    said = f"Final {found.task['metric']} against {name}, medians with quartiles."
    return Plot(f"varied-{name}", said, axis, Axis(f"final {found.task['metric']}"), series)
