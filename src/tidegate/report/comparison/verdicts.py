"""The first section: which cell is better, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from tidegate.comparing.comparison import Comparison
from tidegate.comparing.sentences import count, verdict_sentence, verdict_sentences
from tidegate.comparing.verdict import Verdict
from tidegate.report.figures import Axis, Key, Row, Rows
from tidegate.report.page import Answer, Markup, Section

SHOWN = 12  # sentences that are not folded
DRAWN = 30  # pairs of a figure; of more, only those that differ are drawn


def better(found: Comparison) -> Section:
    return Section(
        "verdict",
        "Which is better?",
        [Answer(summary(found.verdicts))],
        [Markup(sentences_html(found.verdicts)), *intervals(found.verdicts)],
        [
            "Two arms are compared seed by seed: a seed gives both the same training sequences, so the difference of "
            "their scores does not contain the luck of the data. A difference is called better only if the exact "
            "sign-flip test finds it, after Holm's correction over all pairs of this page, and its t interval does not "
            "contain 0. So of comparisons in which nothing differs, at most one in twenty claims a difference.",
            "All runs that solve the task count as equal in their score, because training ends there. Where both "
            "arms solve it with every seed, the steps until then are compared instead.",
            "The smallest p-value that n seeds can give is 2 / 2ⁿ: with five seeds no difference can be significant.",
        ],
    )


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many pairs differ, in a sentence."""
    if not verdicts:
        return "There is no pair to compare: one cell with one setting, or settings that are different tasks."
    kinds = [v.kind for v in verdicts]
    total = count(len(verdicts), "pair")
    if "too few seeds" in kinds and len(set(kinds)) == 1:
        return "Too few seeds to tell."
    return (
        f"Of {total}, {kinds.count('better')} differ on this task at this budget; in {kinds.count('no difference')} no "
        f"difference was seen, and {kinds.count('too few seeds')} have too few seeds. There is no overall winner: "
        "another task or another budget can have another order."
    )


def sentences_html(verdicts: Sequence[Verdict]) -> str:
    """The sentences, those of differences first; the last of many are folded."""
    lines = [f'<div class="finding">{escape(said)}</div>' for said in verdict_sentences(verdicts)]
    rest = "".join(lines[SHOWN:])
    folded = f"<details><summary>{len(lines) - SHOWN} more</summary>{rest}</details>" if rest else ""
    return "".join(lines[:SHOWN]) + folded


def intervals(verdicts: Sequence[Verdict]) -> Iterator[Rows | Markup]:
    """The differences with their intervals, one figure for each unit; of many pairs, those that differ."""
    for k, measure in enumerate(dict.fromkeys(v.measure for v in verdicts)):
        every = [v for v in verdicts if v.measure == measure and v.seeds > 1]
        own = every if len(every) <= DRAWN else [v for v in every if v.kind == "better"][:DRAWN]
        if len(own) < len(every):
            left_out = f"{count(len(every) - len(own), 'pair')} compared by {measure} left out of the figures"
            yield Markup(f"<p>{escape(left_out)}; compare.json has all.</p>")
        if not own:
            continue
        rows = [
            Row(
                f"{v.first} − {v.second}",
                "first" if v.kind == "better" else "baseline",
                v.difference,
                v.low if math.isfinite(v.low) else None,
                v.high if math.isfinite(v.high) else None,
            )
            for v in own
        ]
        said = f"Differences in {measure}: " + "; ".join(verdict_sentence(v) for v in own)
        keys = [
            Key("a difference on this task at this budget", "first"),
            Key("none seen, or too few seeds", "baseline"),
        ]
        until = " until solved" if measure in ("steps", "seconds") else ""
        axis = Axis(f"difference in {measure}{until}, first − second", zero=True)
        yield Rows(f"differences-{k}", said, axis, rows, keys)
