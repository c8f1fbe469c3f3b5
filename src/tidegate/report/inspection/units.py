"""The section on units: which features of the text they track, and the extra loss while they are held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tidegate.report.figures import Axis, Key, Pick, Row, Rows
from tidegate.report.inspection.run import Run, answers
from tidegate.report.page import Markup, Section

ORDER = ("needed", "tracks only", "not confirmed", "none found")
VERDICTS = {
    "needed": "tracks it and is needed",
    "tracks only": "tracks it, not shown to be needed",
    "not confirmed": "not confirmed",
}


def units(runs: Sequence[Run]) -> Section | None:
    measured = [run for run in runs if "units" in run.figures]
    if not measured:
        return None
    parts: list[Markup | Rows] = []
    for run in measured:
        parts.append(Markup(table(run, titled=len(runs) > 1)))
        rows = list(effects(run))
        if rows:
            parts.append(Rows(
                f"ablation-{run.number}", f"{run.name}: extra loss while a unit is held at its mean, where its feature "
                "is on.",
                Axis("extra loss where the feature is on, minus elsewhere (nats)"), rows,
                [Key("the unit, with its 95 % interval", run.role), Key("random other units", "baseline", faint=True)],
            ))  # fmt: skip
    notes = [note for run in measured for note in run.figures["units"].get("notes", ())]
    return Section(
        "units",
        "Which features of the text do single units track?",
        answers(runs, "units"),
        parts,
        [
            "A unit tracks a feature if its value is correlated with it (r, between −1 and 1). Units were found on one "
            "text and confirmed on another, on which the model was not trained; the table shows r on the second text. "
            "“r within” is the correlation between positions with the same previous and current token: it excludes "
            "units that only respond to a character such as a quotation mark.",
            "A unit that tracks a feature may still be unused. So each confirmed unit was held at its mean while the "
            "model read the text. It is needed if the loss rises more where the feature is on than elsewhere, by a "
            "difference that is larger than for each of the random units of similar variance and significantly above "
            "0. A feature without such a unit can be represented by many units together.",
            *dict.fromkeys(notes),
        ],
    )


def named_units(run: Run, layer: int, wanted: Sequence[int]) -> list[dict[str, Any]]:
    """For the list beside the text: the `wanted` units of the layer, then the confirmed units, those that are needed
    first, with what they track."""
    found = [(feature, unit) for feature, unit in tracked(run) if unit["confirmed"]]
    found.sort(key=lambda pair: (not needed(pair[1]), -abs(pair[1]["r"] or 0)))
    state = run.step.state[0]
    chosen = [{"unit": unit, "layer": layer, "state": state, "label": f"unit {unit}", "said": ""} for unit in wanted]
    return chosen + [
        {
            "unit": unit["unit"],
            "layer": unit["layer"],
            "state": unit["state"],
            "label": f"unit {unit['unit']}: {feature['feature']}" + (", needed" if needed(unit) else ""),
            "said": f"Unit {unit['unit']} tracks “{feature['feature']}” on text that the model was not trained on "
            f"(r = {decimal(unit['r'])}), "
            + ("and is needed for it." if needed(unit) else "but is not shown to be needed for it."),
        }
        for feature, unit in found
    ]


def tracked(run: Run) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each feature that occurs, with each unit that was found for it."""
    for feature in run.figures.get("units", {}).get("features", ()):
        for unit in feature["units"]:
            yield feature, unit


def needed(unit: Mapping[str, Any]) -> bool:
    return unit["verdict"] == "needed"


def table(run: Run, *, titled: bool) -> str:
    """One row for each feature and unit; the buttons colour the text."""
    lines = [f"<h3>{escape(run.name)}</h3>"] if titled else []
    lines.append(
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Units and what they track">'
        '<table class="units"><thead><tr>'
    )
    lines += [f'<th scope="col">{title}</th>' for title in ("feature", "unit", "r")]
    lines += [f'<th scope="col" class="more">{title}</th>' for title in ("r within", "p")]
    lines.append('<th scope="col" class="words">verdict</th></tr></thead><tbody>')
    for feature in sorted(run.figures["units"]["features"], key=lambda feature: ORDER.index(feature["verdict"])):
        if not feature["units"]:
            words = "no unit found" if feature["occurs"] else "not tested: does not vary in both texts"
            lines.append(f'<tr><td>{escape(feature["feature"])}</td><td class="words" colspan="5">{words}</td></tr>')
        for k, unit in enumerate(feature["units"]):
            lines.append(
                f"<tr><td>{escape(feature['feature']) if not k else ''}</td><td>"
                f'<button type="button" data-run="{run.number}" data-unit="{unit["unit"]}" '
                f'data-layer="{unit["layer"]}" data-state="{escape(unit["state"])}">{numbered(run, unit)}</button></td>'
                f"<td>{decimal(unit['r'])}</td>"
                f'<td class="more">{decimal(unit["r_within"])}</td><td class="more">{chance(unit["p"])}</td>'
                f'<td class="words">{VERDICTS[unit["verdict"]]}</td></tr>'
            )
    return "\n".join([*lines, "</tbody></table></div>"])


def numbered(run: Run, unit: Mapping[str, Any]) -> str:
    """The number of the unit, with the layer where there are several."""
    return f"{unit['unit']}" + (f" (layer {unit['layer']})" if run.layers > 1 else "")


def decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def chance(p: float | None) -> str:
    return "–" if p is None else f"{p:.2g}".replace("-", "−")


def effects(run: Run) -> Iterator[Row]:
    """The effect of each confirmed unit on its feature, beside those of random units."""
    measured = [(feature, unit) for feature, unit in tracked(run) if unit["confirmed"] and unit["total"]]
    for feature, unit in sorted(measured, key=lambda pair: -(pair[1]["total"]["extra"]["difference"] or 0)):
        extra = unit["total"]["extra"]
        yield Row(
            f"unit {numbered(run, unit)}, {feature['feature']}", run.role, extra["difference"],
            extra["low"], extra["high"], unit["total"]["others"],
            Pick(run.number, unit["layer"], unit["unit"], unit["state"]),
        )  # fmt: skip
