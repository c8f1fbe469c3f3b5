"""The picture of a run: bits per character of the training and the held-out text over the epochs."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegate.train.checkpoint import write_atomically


def draw(path: Path, records: Sequence[dict[str, Any]], *, title: str, ngram_bpc: float, ngram_order: int) -> None:
    """Draw the curves of the log's `records` into the PNG file `path`, with the n-gram bar as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    heights: dict[str, list[float]] = {}
    for kind, key, label, style in (
        ("train", "train_bpc", "train", {"color": "#0072b2", "linewidth": 1.2}),
        ("evaluation", "heldout_bpc", "held-out", {"color": "#d55e00", "marker": "o", "markersize": 3.5}),
    ):
        points = [(r["epochs"], r[key]) for r in records if r.get("kind") == kind and r.keys() >= {"epochs", key}]
        axes.plot([x for x, _ in points], [y for _, y in points], label=label, **style)
        heights[kind] = [y for _, y in points]
    axes.axhline(ngram_bpc, color="0.4", linestyle="--", linewidth=1, label=f"n-gram bar (order {ngram_order})")
    low = min([ngram_bpc, *heights["train"]])
    high = max([ngram_bpc, *heights["evaluation"]])
    axes.set(xlabel="epochs", ylabel="bits per character", title=title)
    axes.set_ylim(max(0.0, 0.9 * low), 1.1 * max(high, ngram_bpc))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomically(path, picture.getvalue())
