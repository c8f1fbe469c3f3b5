"""The results of a comparison in words. Each sentence has its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate.comparing.comparison import ArmResult, Comparison
from tidegate.comparing.statistics import POWER
from tidegate.comparing.verdict import SHARES, Kind, Verdict


def sentences(found: Comparison) -> Iterator[str]:
    """What was compared, every arm, every verdict, and the notes."""
    yield headline(found)
    for arm in found.arms:
        yield arm_sentence(found, arm)
    yield from verdict_sentences(found.verdicts)
    yield from found.notes


def headline(found: Comparison) -> str:
    """The task, the seeds, what is equal, and what a reader must know first."""
    parameters = ", ".join(f"{name} {value}" for name, value in found.task["parameters"].items())
    name = f"{found.task['name']}{f' ({parameters})' if parameters else ''}"
    said = f"{name}, {count(len(found.seeds), 'seed')}. {matched(found)}"
    return f"{said} {found.caution}" if found.caution else said


def matched(found: Comparison) -> str:
    """What is equal for the cells, in a sentence."""
    weights = [arm.recurrent_weights for arm in found.arms]
    span = f"{min(weights):,}" if min(weights) == max(weights) else f"{min(weights):,} to {max(weights):,}"
    if found.matched == "units":
        return f"All cells have equal numbers of units; their recurrent weights differ: {span}."
    same = f"All cells have equal numbers of recurrent weights, as far as whole numbers of units permit: {span}."
    return same + " All train for the same time." if found.matched == "seconds" else same


def arm_sentence(found: Comparison, arm: ArmResult) -> str:
    """The score of an arm, how often it solved the task, and what happened to the others."""
    own, metric = arm.summary, found.task["metric"]
    if own.score is None:
        return f"{arm.label}: every job failed: {arm.outcomes[0].reason.rstrip('.')}."
    low, median, high = own.score
    text = f"{arm.label}: {metric} {shown(median)} (quartiles {shown(low)} to {shown(high)})"
    if own.share_low is not None and own.share_high is not None:
        limits = f"95 % limits {100 * own.share_low:.0f} to {100 * own.share_high:.0f} %"
        text += f", solved with {own.solved} of {own.runs} seeds ({limits})"
    if own.steps is not None:
        text += f", in {own.steps:,.0f} steps"
    return "".join([text, ".", *(f" {part}." for part in troubles(arm))])


def troubles(arm: ArmResult) -> Iterator[str]:
    """What went wrong in the jobs of an arm."""
    total = len(arm.outcomes)
    for status in ("diverged", "failed"):
        runs = [run for run in arm.outcomes if run.status == status]
        if runs:
            first = runs[0].reason.rstrip(".")
            what = first[0].upper() + first[1:] if status == "diverged" else f"Failed: {first}"
            yield f"{what} ({len(runs)} of {total} seeds {status})"


def verdict_sentences(verdicts: Sequence[Verdict]) -> list[str]:
    """A sentence for each verdict, differences first; those of pairs that have equally few seeds are one sentence."""
    order: tuple[Kind, ...] = ("better", "no difference", "too few seeds")
    found: dict[tuple[int, int], list[Verdict]] = {}
    lines = []
    for v in sorted(verdicts, key=lambda v: order.index(v.kind)):
        if v.kind == "too few seeds":
            found.setdefault((v.seeds, v.needed), []).append(v)
        else:
            lines.append(verdict_sentence(v))
    for same in found.values():
        said = verdict_sentence(same[0])
        lines.append(said if len(same) == 1 else f"{count(len(same), 'pair')}: {said.partition(': ')[2]}")
    return lines


def verdict_sentence(v: Verdict) -> str:
    """The verdict on a pair, with its difference and interval."""
    first, second, same = apart(v.first, v.second)
    pair, level = f"{first} and {second}{same}", f"{100 * (1 - v.level):.3g} %"
    corrected = f"corrected for {count(v.pairs, 'pair')}"
    if v.kind == "too few seeds":
        return (
            f"{pair}: too few seeds. With {v.seeds} the smallest possible p-value is {min(1.0, 2 / 2**v.seeds):.2g}; "
            f"{v.needed} seeds are needed for {count(v.pairs, 'pair')}."
        )
    if v.kind == "better":
        better, other = (first, second) if v.better == v.first else (second, first)
        low, high = sorted((abs(v.low), abs(v.high)))
        what = f"{v.measure} differs by {shown(abs(v.difference))}"
        if v.measure in ("steps", "seconds"):
            what = f"both always solved it, {better} in {shown(abs(v.difference))} fewer {v.measure}"
        return (
            f"{better} is better than {other}{same} on this task at this budget: {what} ({level} interval "
            f"{shown(low)} to {shown(high)}; p = {v.adjusted:.2g}, {corrected})."
        )
    if v.detectable is None:
        return f"{pair}: no difference seen; the difference in {v.measure} is 0 with every seed."
    seen = f"a difference of {shown(v.detectable)} would have been detected in {100 * POWER:.0f} % of such comparisons."
    if v.measure in SHARES and v.detectable > 1:
        seen = f"not even a difference of 1 would have been detected in {100 * POWER:.0f} % of such comparisons."
    return (
        f"{pair}: no difference seen (difference in {v.measure} {v.difference:+.3g}, {level} interval {v.low:+.3g} to "
        f"{v.high:+.3g}; p = {v.adjusted:.2g}, {corrected}); {seen}"
    )


def apart(first: str, second: str) -> tuple[str, str, str]:
    """What two labels differ in, and what they have in common in brackets: ("gru", "lstm", " (length 50)")."""
    pairs = list(zip(first.split(", "), second.split(", ")))
    same = ", ".join(a for a, b in pairs if a == b)
    one, other = (", ".join(pair[k] for pair in pairs if pair[0] != pair[1]) for k in range(2))
    return one, other, f" ({same})" if same else ""


def count(number: int, what: str) -> str:
    """A number of things: 1 seed, 2 seeds."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def shown(value: float) -> str:
    """A number with three significant digits, or as a whole number where it is large."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
