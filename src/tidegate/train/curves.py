"""The figure of a run: bits per character of the training and the held-out text over the epochs."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.text import Baseline
from tidegate.train.checkpoint import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.4"


def draw(path: Path, records: Sequence[dict[str, Any]], baseline: Baseline, *, title: str) -> None:
    """Draw the curves of the log's `records`, with the n-gram baseline, into the PNG file `path`."""
    picture = io.BytesIO()
    curves(records, baseline, title=title).savefig(picture, format="png")
    write_atomically(path, picture.getvalue())


def curves(records: Sequence[dict[str, Any]], baseline: Baseline, *, title: str) -> "Figure":
    """The figure: one line for the training text, one with markers for the held-out text, one for the baseline."""
    from matplotlib.figure import Figure

    train = points(records, "train", "train_bpc")
    heldout = points(records, "evaluation", "heldout_bpc")
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*train, label="train", color=BLUE, linewidth=1.2)
    axes.plot(*heldout, label="held-out", color=ORANGE, marker="o", markersize=3.5)
    axes.axhline(
        baseline.bpc, label=f"n-gram baseline (order {baseline.order})", color=GREY, linestyle="--", linewidth=1
    )
    low = min([baseline.bpc, *train[1]])
    high = max([baseline.bpc, *heldout[1]])  # the training curve may begin above the y limit
    axes.set(xlabel="epochs", ylabel="bits per character", title=title, ylim=(0.9 * low, 1.1 * high))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def points(records: Sequence[dict[str, Any]], kind: str, key: str) -> tuple[list[float], list[float]]:
    """The epochs and the values of `key`, from every record of this kind that has both."""
    found = [(record.get("epochs"), record.get(key)) for record in records if record.get("kind") == kind]
    both = [(x, y) for x, y in found if isinstance(x, int | float) and isinstance(y, int | float)]
    return [x for x, _ in both], [y for _, y in both]
