"""The top of the page and its first section: what the model is, whether it learned or memorised, and its problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tidegate.insight.findings import Finding
from tidegate.report.figures import Axis, Key, Role, Row, Rows
from tidegate.report.inspection.run import Run
from tidegate.report.page import Markup, Section


def header(runs: Sequence[Run], title: str) -> Markup:
    """Title, a description of the models, and the most important numbers."""
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
            f"{token}. All its information about the past is in the values of its units, which change with every "
            f"{token}."
        )
    return (
        f"{article(run.step.name, 'A')}, a recurrent network, with {size(run)}{on}. It reads a text one "
        f"{token} at a time and predicts the next {token}. All its information about the past is in the values of its "
        f"units, which change with every {token}."
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
        "This file works without an Internet connection and sends nothing. Point at the text below, which is from "
        f"{runs[0].found.text['name']}, or choose a unit in any figure: the text is then coloured by its value."
    )


def tiles(runs: Sequence[Run]) -> list[str]:
    """The four most important numbers, each with what it is."""
    token, own = runs[0].token, all(run.found.text["own"] for run in runs)
    text = "text it was not trained on" if own else "this text"
    found = [
        (
            [two_digits(run.numbers("learned").get("bpc")) for run in runs],
            f"bits per character on {text}; lower is better",
        ),
        ([two_digits(baseline(run).get("bpc")) for run in runs], ngram(runs)),
        ([percent(run.found.heldout.right) for run in runs], f"of the {token}s of that text are predicted correctly"),
        ([horizon_of(run) for run in runs], f"{token}s of context used by the predictions (memory horizon)"),
    ]
    return [tile(values, words, runs) for values, words in found if any(value != "–" for value in values)]


def baseline(run: Run) -> Mapping[str, Any]:
    """The n-gram baseline of the run, which is of its own held-out text; empty for another text."""
    return (run.found.baseline or {}) if run.found.text["own"] else {}


def ngram(runs: Sequence[Run]) -> str:
    orders = {baseline(run).get("order") for run in runs} - {None}
    last = f"each {orders.pop()} {runs[0].token}s" if len(orders) == 1 else f"a few {runs[0].token}s"
    return f"bits per character of an n-gram model, which counts what followed {last} in the training text"


def horizon_of(run: Run) -> str:
    found = run.figures.get("horizon")
    if found is None:
        return "–"
    best = found["used"]
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
    """How well the model predicts, and its problems; with the losses as bars."""
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
        "Has the model learned or memorised?",
        [],
        parts,
        [
            "Bits per character: the mean, over the characters of the text, of −log2 of the probability that the "
            f"model gave to the {token} that followed. 0 means certainty, 1 a choice between two equally likely ones. "
            "A model whose loss on its training text is much lower than on held-out text, on which it was not trained, "
            "has memorised parts of the training text.",
            f"An n-gram model of order k predicts from counts of the {token}s that followed each sequence of k "
            f"{token}s in the training text. A network whose loss is not below that of the best n-gram model has "
            "learned little.",
        ],
    )


def finding_html(found: Finding) -> str:
    remedy = f' <span class="remedy">Try: {escape(found.remedy)}</span>' if found.remedy else ""
    return f'<div class="finding{" problem" if found.failure else ""}">{escape(found.sentence)}{remedy}</div>'


def losses(runs: Sequence[Run]) -> Iterator[Rows]:
    """Bits per character on the training text and on the text of the inspection, and those of the n-gram model."""
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
        "train": "text it was trained on", "heldout": "text it was not trained on", "baseline": "n-gram model",
    }  # fmt: skip
    keys = [Key(label, role) for role, label in words.items() if any(row.role == role for row in rows)]
    yield Rows("loss", said, Axis("bits per character"), rows, keys, bars=True, decimals=3)
