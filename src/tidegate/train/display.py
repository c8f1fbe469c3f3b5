"""The results of a training in a notebook."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from tidegate.notebook import output, paragraph, table
from tidegate.train.folder import RunFolder

if TYPE_CHECKING:
    from tidegate.train.job import Finished
    from tidegate.train.load import Trained

Row = tuple[str, str | float]


def trained_html(trained: Trained) -> str:
    """The model, its text, and its score beside that of the n-gram baseline; a fact that was not saved has no row."""
    facts = trained.facts
    weights = sum(parameter.numel() for parameter in trained.model.parameters())
    rows: list[Row] = [
        ("cell", facts.model.cell),
        ("units", facts.model.hidden),
        ("layers", facts.model.layers),
        ("weights", weights),
        (f"{trained.vocabulary.kind} tokens in the vocabulary", len(trained.vocabulary)),
    ]
    rows += [("text", str(facts.text["name"]))] if facts.text else []
    rows += [("step of this checkpoint", trained.step)] if trained.step is not None else []
    rows += [("epochs", trained.epochs)] if trained.epochs is not None else []
    if trained.best:
        rows.append(("best held-out bits per character", f"{trained.best.heldout_bpc:.3f}"))
        rows.append(("best held-out perplexity", f"{trained.best.heldout_ppl:.3f}"))
    if trained.baseline:
        name = f"baseline, an order-{trained.baseline.order} n-gram: bits per character"
        rows.append((name, f"{trained.baseline.bpc:.3f}"))
    return output(table((), rows, caption="Trained language model"))


def finished_html(finished: Finished) -> str:
    """The verdict, the scores beside the baseline's, and the training curves."""
    s = finished.summary
    rows: list[Row] = [
        ("best held-out bits per character", f"{s['best']['heldout_bpc']:.3f}"),
        ("held-out bits per character at the end", f"{s['heldout_bpc']:.3f}"),
        ("training bits per character at the end", f"{s['train_bpc']:.3f}"),
        (f"baseline, an order-{s['baseline']['order']} n-gram: bits per character", f"{s['baseline']['bpc']:.3f}"),
        ("epochs", s["epochs"]),
        ("seconds", f"{s['seconds']:.0f}"),
        ("weights", s["weights"]),
    ]
    title = f"{s['cell']}, {s['hidden']} units, on {s['text']}"
    parts = [paragraph(s["verdict"]), table((), rows, caption=title)]
    curves = RunFolder(finished.folder).curves
    if curves.is_file():
        data = base64.b64encode(curves.read_bytes()).decode()
        parts.append(f'<img alt="Training curves of {escape(title)}" src="data:image/png;base64,{data}"/>')
    return output(*parts)
