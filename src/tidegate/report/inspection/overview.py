"""The top of the page and its first section: what the model is, whether it learned or memorised, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tidegate.insight.findings import Finding
from tidegate.report.figures import Axis, Key, Role, Row, Rows
from tidegate.report.inspection.run import Run
from tidegate.report.page import Markup, Section


def header(runs: Sequence[Run], title: str) -> Markup:
    """Title, what the models are, and the numbers at a glance."""
    lines = [
        '<button type="button" id="theme">Dark</button>',
        f'<div><h1>{escape(title)}</h1><p class="lead">{escape(lead(runs))}</p>'
        f'<p class="quiet">{escape(guide(runs))}</p></div>',
        f'<div class="tiles">{"".join(tiles(runs))}</div>',
    ]
    return Markup("\n".join(lines))


def lead(runs: Sequence[Run]) -> str:
    run, token = runs[0], runs[0].token
    text = run.about["trained_on"]
    kinds = " and ".join(f"{r.name} ({article(r.step.name)} with {size(r)})" for r in runs)
    on = f", trained on {text}" if text and all(r.about["trained_on"] == text for r in runs) else ""
    if len(runs) > 1:
        return (
            f"Two recurrent networks, {kinds}{on}. Each reads a text one {token} at a time and predicts the next "
            f"{token}. All that it knows of the past is in its units: numbers that every {token} changes."
        )
    return (
        f"{article(run.step.name, 'A')}, a recurrent network, with {size(run)}{on}. It reads a text one "
        f"{token} at a time and predicts the next {token}. All that it knows of the past is in its units: numbers that "
        f"every {token} changes."
    )


def article(cell: str, a: str = "a") -> str:
    """The name with its article: an LSTM, a GRU, an Elman cell."""
    spoken = "AEFHILMNORSX" if cell[:2].isupper() else "AEIO"
    return f"{a}{'n' * (cell[:1].upper() in spoken)} {cell}"


def size(run: Run) -> str:
    layers = f" in each of {run.layers} layers" if run.layers > 1 else ""
    return f"{run.hidden:,} units{layers} and {run.about['weights']:,} weights"


def guide(runs: Sequence[Run]) -> str:
    return (
        "This file is complete: it needs no network and sends nothing. Point at the text below, or choose a unit in "
        f"any figure to see it on the text, which is from {runs[0].found.text['name']}."
    )


def tiles(runs: Sequence[Run]) -> list[str]:
    """Four numbers at a glance, each with what it is."""
    token, own = runs[0].token, all(run.found.text["own"] for run in runs)
    text = "text it was not trained on" if own else "this text"
    found = [
        (
            [two_digits(run.numbers("learned").get("bpc")) for run in runs],
            f"bits per character on {text}; less is better",
        ),
        ([two_digits(baseline(run).get("bpc")) for run in runs], ngram(runs)),
        ([percent(run.found.heldout.right) for run in runs], f"of the next {token}s there are its first guess"),
        ([horizon_of(run) for run in runs], f"{token}s back is as far as its predictions use the text"),
    ]
    return [tile(values, words, runs) for values, words in found if any(value != "–" for value in values)]


def baseline(run: Run) -> Mapping[str, Any]:
    """The n-gram baseline of the run, which is of its own held-out text; empty for another text."""
    return (run.found.baseline or {}) if run.found.text["own"] else {}


def ngram(runs: Sequence[Run]) -> str:
    orders = {baseline(run).get("order") for run in runs} - {None}
    last = f"each {orders.pop()}" if len(orders) == 1 else "each few"
    return f"bits by counting what followed {last} {runs[0].token}s in the training text (an n-gram)"


def horizon_of(run: Run) -> str:
    found = run.figures.get("horizon")
    if found is None:
        return "–"
    best = next(h for h in found["horizons"] if h["curve"] == "zero")
    if best["tokens"] is not None:
        return f"{best['tokens']:,}"
    return f"> {max(found['lengths']):,}" if best["reason"] == "longer" else "not known"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def two_digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def tile(values: Sequence[str], words: str, runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return f'<div class="tile"><b>{escape(values[0])}</b><span>{escape(words)}</span></div>'
    shown = "".join(f'<b class="{r.role}" title="{escape(r.name)}">{escape(v)}</b>' for r, v in zip(runs, values))
    return f'<div class="tile">{shown}<span>{escape(words)}</span></div>'


def verdict(runs: Sequence[Run]) -> Section:
    """How well it predicts, and what is wrong; with the losses as bars."""
    lines = []
    for run in runs:
        if len(runs) > 1:
            lines.append(f'<h3 class="{run.role}">{escape(run.name)}</h3>')
        lines += [
            finding_html(f) for f in run.found.findings if f.failure or f.kind in ("predicts", "learned", "sound")
        ]
    parts = [Markup("".join(lines)), *losses(runs)]
    token = runs[0].token
    return Section(
        "verdict",
        "Has it learned, or memorised?",
        [],
        parts,
        [
            "Bits per character: the mean of −log2 of the probability that the model gave to what came. 0 is "
            "certainty; 1 is a fair choice between two. A model that does much better on its training text than on "
            "held-out text, which it was not trained on, has memorised parts of it.",
            f"An n-gram of order k predicts from counts of which {token} followed each sequence of k {token}s in the "
            "training text. It is the simplest model of text: a network that does not beat it has learned little.",
        ],
    )


def finding_html(found: Finding) -> str:
    remedy = f' <span class="remedy">Try: {escape(found.remedy)}</span>' if found.remedy else ""
    return f'<div class="finding{" problem" if found.failure else ""}">{escape(found.sentence)}{remedy}</div>'


def losses(runs: Sequence[Run]) -> Iterator[Rows]:
    """Bits per character on the training text, on the text of the inspection, and by counting."""
    rows = []
    for run in runs:
        name, numbers, counted = f"{run.name}, " if len(runs) > 1 else "", run.numbers("learned"), baseline(run)
        text = "held-out text" if run.found.text["own"] else "this text"
        if numbers.get("training_bpc") is not None:
            rows.append(Row(f"{name}training text", "train", numbers["training_bpc"]))
        rows.append(Row(f"{name}{text}", "heldout", numbers.get("bpc")))
        if counted:
            rows.append(Row(f"{name}n-gram of order {counted['order']}", "baseline", counted["bpc"]))
    if all(row.value is None for row in rows):
        return
    said = "Bits per character: " + ", ".join(f"{r.label} {r.value:.3f}" for r in rows if r.value is not None) + "."
    words: dict[Role, str] = {
        "train": "text it was trained on", "heldout": "text it was not trained on", "baseline": "counting",
    }  # fmt: skip
    keys = [Key(label, role) for role, label in words.items() if any(row.role == role for row in rows)]
    yield Rows("loss", said, Axis("bits per character"), rows, keys, bars=True, decimals=3)
