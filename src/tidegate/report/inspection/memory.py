"""Sections on how far back the model uses the text, and which inputs a prediction depends on."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.report.figures import Axis, Mark, Plot, Series
from tidegate.report.inspection.probes import paragraphs, readout, swap
from tidegate.report.inspection.run import Run, answers, spoken
from tidegate.report.page import Answer, Section


def horizon(runs: Sequence[Run]) -> Section | None:
    """The loss against the number of last tokens that the state was built from, with n-grams on the same axis."""
    measured = [run for run in runs if "horizon" in run.figures]
    if not measured:
        return None
    token, series, marks = measured[0].token, [], []
    for run in measured:
        figure, name = run.figures["horizon"], f"{run.name}: " if len(runs) > 1 else ""
        bound = figure["bound"]
        for curve, dashed, words in (
            ("zero", False, "state built from the last n alone"),
            ("donor", True, "before them, other text"),
        ):
            mean, error = figure[curve], figure[f"{curve}_error"]
            series.append(Series(
                name + words, run.role, figure["lengths"], mean, dashed=dashed,
                low=[m - bound * e for m, e in zip(mean, error)], high=[m + bound * e for m, e in zip(mean, error)],
            ))  # fmt: skip
        role = run.role if len(runs) > 1 else "ink"
        marks.append(Mark("y", figure["full"], "" if run.number else "with all the text", role))
        best = next(h for h in figure["horizons"] if h["curve"] == "zero")
        if best["tokens"] is not None:
            marks.append(Mark("x", best["tokens"], f"{name}{best['tokens']} {token}s", role))
    orders = measured[0].figures["horizon"].get("orders")
    if orders:
        k = range(1, len(orders["nats"]))
        series.append(Series(
            "n-grams counted on the training text", "baseline", list(k), [orders["nats"][i] for i in k],
            low=[orders["nats"][i] - 2 * orders["error"][i] for i in k],
            high=[orders["nats"][i] + 2 * orders["error"][i] for i in k], points=True,
        ))  # fmt: skip
    said = answers(runs, "horizon")
    plot = Plot(
        "horizon", spoken(said), Axis(f"n, the {token}s that the state was built from", "log"),
        Axis(f"loss in nats per {token}"), series, marks,
    )  # fmt: skip
    parts = [plot, paragraphs(runs, "readout"), readout(measured)]
    return Section(
        "horizon",
        "How far back does it look?",
        said,
        parts,
        [
            f"The model reads only the last n {token}s before a prediction. Where more of the text no longer lowers "
            "the loss, the model does not use it: that n is its memory horizon. Bands are 95 % intervals.",
            "The solid curve begins with a state of zeros, the dashed one with the state after unrelated text, "
            "because a state of zeros is unusual for the model. A nat is 1.44 bits. Grey: what counting the last n "
            f"{token}s achieves on the same predictions.",
            f"The second figure shows how well a linear function of the state can tell what an earlier {token} was: "
            f"1 is perfectly, 0 no better than the frequencies of the {token}s; dashed, what the last {token} alone "
            "tells of it.",
        ],
    )


def connectivity(runs: Sequence[Run]) -> Section | None:
    """The mean share of each lag in the dependence of a prediction on its past."""
    measured = [run for run in runs if "connectivity" in run.figures]
    if not measured:
        return None
    token = measured[0].token
    series = [
        Series(run.name, run.role, run.figures["connectivity"]["lags"], run.figures["connectivity"]["share"])
        for run in measured
    ]
    with_swap = [run for run in measured if "horizon" in run.figures]
    swapped = [paragraphs(runs, "swap"), swap(with_swap)] if with_swap else []
    said = answers(runs, "connectivity")
    plot = Plot(
        "connectivity", spoken(said), Axis(f"{token}s back"), Axis("share of the dependence", zero=True), series
    )
    return Section(
        "past",
        "Which part of the past mattered here?",
        [
            *said,
            Answer(
                "Choose “What mattered” above the text and point at a character: the characters before it are coloured "
                "by how strongly the score of the character that follows depends on them."
            ),
        ],
        [plot, *swapped],
        [
            f"The strength is the length of the derivative of the score (before the softmax) of the {token} that came "
            f"with respect to what each earlier {token} added to the first layer. It says how much a small change "
            "there would matter. The second figure is measured by replacing one earlier token: the Kullback–Leibler "
            "divergence of the new prediction from the old one, 0 if nothing changed. “What if?” does that here.",
        ],
    )
