"""Sentences on the units that track features of a text."""

import math
from collections.abc import Sequence

from tidegate.insight.sentences.base import sentence, token_name
from tidegate.insight.tracking.results import FeatureUnits, TrackedUnit, Units


@sentence.register
def _(figure: Units) -> str:
    by_verdict: dict[str, list[FeatureUnits]] = {}
    for own in figure.features:
        by_verdict.setdefault(own.verdict if own.occurs else "absent", []).append(own)
    one = token_name(figure.tokens_are)
    found = [feature_sentence(own, one) for own in by_verdict.get("needed", [])] or [
        "No unit is both confirmed to track a feature and needed where the feature is on."
    ]
    others = [f"{quoted(own)} ({short(own.units)})" for own in by_verdict.get("tracks only", [])]
    if others:
        found.append(f"Tracked by a unit, but without evidence that the model uses the unit: {', '.join(others)}.")
    for verdict, words in (
        ("not confirmed", "Tracked by a unit on the first text, but not confirmed on the second"),
        ("none found", "No unit was found for"),
        ("absent", "Not tested, because it does not vary in both texts"),
    ):
        if by_verdict.get(verdict):
            found.append(f"{words}: {', '.join(map(quoted, by_verdict[verdict]))}.")
    return " ".join([*found, *figure.notes])


def feature_sentence(own: FeatureUnits, one: str) -> str:
    """The result for one feature, with the numbers of its first unit that has the verdict of the feature.

    `one` is what a token is called.
    """
    if not own.occurs:
        return f"{quoted(own)} does not vary in both texts."
    if not own.units:
        best = f"before training the largest |r| of a unit is {own.untrained:.2f}"
        return f"No unit is correlated with {quoted(own)} more strongly than expected by chance; {best}."
    unit = next(unit for unit in own.units if unit.verdict == own.verdict)
    name = f"Unit {unit.unit} of layer {unit.layer} ({unit.state})"
    if not unit.confirmed:
        return (
            f"{name} was found for {quoted(own)} on the first text, but not confirmed on the second: "
            f"{evidence(own, unit, one)}."
        )
    tracks = f"{name} tracks {quoted(own)} on text that the model was not trained on: {evidence(own, unit, one)}."
    return f"{tracks} {use(own, unit, one)}"


def evidence(own: FeatureUnits, unit: TrackedUnit, one: str) -> str:
    """The correlations and what they are compared with."""
    r = f"r = {unit.r:.2f} (p = {unit.p:.2g})"
    if own.determined:
        within = f"the previous and the current {one} determine the feature, so that no memory is needed to track it"
    elif own.determined is None:
        within = f"too few positions have the same previous and current {one} to be compared with each other"
    else:
        within = (
            f"between positions with the same previous and current {one} r = {unit.r_within:.2f} (p = "
            f"{unit.p_within:.2g})"
        )
    return f"{r}; {within}; before training the largest |r| of a unit is {own.untrained:.2f}"


def use(own: FeatureUnits, unit: TrackedUnit, one: str) -> str:
    """The extra loss while the unit is held, compared with that of random units."""
    total = unit.total
    assert total is not None
    assert unit.resampled is not None
    if math.isnan(total.extra.difference):
        return f"Whether it is needed cannot be decided: the feature does not vary over the {one}s of that test."
    where = "the feature is above its median" if own.numeric else "the feature is on"
    found = (
        f"It is {'needed' if total.needed else 'not shown to be used'}: holding it at its mean raises the loss by "
        f"{nats(total.extra.on, total.extra.on_error)} nats per {one} where {where} and by "
        f"{nats(total.extra.off, total.extra.off_error)} elsewhere (± standard error)"
    )
    if not len(total.others):
        return f"{found}; the layer has no other unit for a comparison."
    many = f"{len(total.others)} random units" if len(total.others) > 1 else "a random unit"
    extra, drawn = total.extra, unit.resampled
    return (
        f"{found}. The difference is {nats(extra.difference, extra.error)}; for {many} of similar variance it is at "
        f"most {rounded(total.others.max(), extra.error)}. If the unit is set to its states at random positions "
        f"instead of its mean, the difference is {nats(drawn.difference, drawn.error)}."
    )


def short(tracked: Sequence[TrackedUnit]) -> str:
    """The first confirmed unit and its r."""
    unit = next(unit for unit in tracked if unit.confirmed)
    return f"unit {unit.unit} of layer {unit.layer}, r = {unit.r:.2f}"


def nats(value: float, error: float) -> str:
    """A value and its standard error."""
    return f"{rounded(value, error)} ± {rounded(error, error)}"


def rounded(value: float, error: float) -> str:
    """The value with as many decimals as its error has with two significant digits; three if the error is unknown."""
    known = math.isfinite(error) and error > 0
    return f"{value:.{max(0, 1 - math.floor(math.log10(error))) if known else 3}f}"


def quoted(own: FeatureUnits) -> str:
    return f"“{own.feature}”"
