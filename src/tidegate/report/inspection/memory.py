"""Sections on how much context the model uses, and on which inputs a prediction depends."""

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
            ("zero", False, f"from the zero state, the last n {token}s"),
            ("donor", True, f"from the state after other text, the last n {token}s"),
        ):
            mean, error = figure[curve], figure[f"{curve}_error"]
            series.append(Series(
                name + words, run.role, figure["lengths"], mean, dashed=dashed,
                low=[m - bound * e for m, e in zip(mean, error)], high=[m + bound * e for m, e in zip(mean, error)],
            ))  # fmt: skip
        role = run.role if len(runs) > 1 else "ink"
        marks.append(Mark("y", figure["full"], "" if run.number else "full context", role))
        best = figure["used"]
        if best["tokens"] is not None:
            marks.append(Mark("x", best["tokens"], f"{name}{best['tokens']} {token}s", role))
    orders = measured[0].figures["horizon"].get("orders")
    if orders:
        k = range(1, len(orders["nats"]))
        series.append(Series(
            "n-gram models of the training text", "baseline", list(k), [orders["nats"][i] for i in k],
            low=[orders["nats"][i] - 2 * orders["error"][i] for i in k],
            high=[orders["nats"][i] + 2 * orders["error"][i] for i in k], points=True,
        ))  # fmt: skip
    said = answers(runs, "horizon")
    plot = Plot(
        "horizon", spoken(said), Axis(f"n, the number of {token}s that the model has read", "log"),
        Axis(f"loss in nats per {token}"), series, marks,
    )  # fmt: skip
    parts = [plot, paragraphs(runs, "readout"), readout(measured)]
    return Section(
        "horizon",
        f"How many of the last {token}s does the model use?",
        said,
        parts,
        [
            f"For each prediction the model reads only the last n {token}s before it. The memory horizon is the n from "
            "which on more context no longer lowers the loss. Bands are 95 % intervals. A nat is 1.44 bits.",
            "For the solid curve the model begins with a state of zeros, for the dashed one with the state after "
            "unrelated text, because states of zeros do not occur in a text and can raise the loss. Grey: n-gram "
            f"models, which count the last n {token}s, on the same predictions.",
            f"The second figure shows how well a linear function of the state predicts an earlier {token}: R² is 1 for "
            f"a perfect prediction, and 0 for one that is no better than the frequencies of the {token}s. Dashed: the "
            f"same from the last {token} alone.",
        ],
    )


def connectivity(runs: Sequence[Run]) -> Section | None:
    """The mean share of each lag in the dependence of a prediction on earlier inputs."""
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
        f"Which earlier {token}s does a prediction depend on?",
        [
            *said,
            Answer(
                f"Choose “Influence” above the text and point at a {token}: the {token}s before it are coloured by how "
                f"strongly the score of the {token} that follows depends on them."
            ),
        ],
        [plot, *swapped],
        [
            f"The strength is the norm of the derivative of the score (before the softmax) of the {token} that "
            f"follows, with respect to the input of the first layer at each earlier {token}: the effect of a small "
            f"change of that input. For the second figure one earlier {token} is replaced by another; it shows the "
            "Kullback–Leibler divergence of the old prediction from the new one, 0 if they are equal. You can replace "
            "one yourself under “What if?”.",
        ],
    )
