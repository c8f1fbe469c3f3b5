"""What the measurements of a run show: results, and failures with a remedy. Every sentence contains its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tidegate.calculus import Step
from tidegate.insight.gates import Gates
from tidegate.insight.sentences.base import named, percent, step_name, steps, token_name
from tidegate.train.load import Trained
from tidegate.train.verdict import MEMORISED

if TYPE_CHECKING:
    from tidegate.insight.inspection import Inspection

SATURATED = 0.5  # share of a candidate's values beyond ±0.97
STUCK = 0.9  # share of a gate's units that are closed, or open, in 90 % of the steps
DEAD = 0.05  # share of the units of a state
GROWS = 0.01  # nats per step
FORGETS = 0.5  # of the window of the training
BROKEN = ("saturated", "dead")  # failures that cause others


@dataclass(frozen=True)
class Finding:
    """kind: the subject.   failure: whether it is a problem of the model.   sentence: what was measured, with numbers.
    numbers: the numbers of the sentence, by name.   remedy: what to try; None for a result.
    """

    kind: str
    failure: bool
    sentence: str
    numbers: Mapping[str, float | None]
    remedy: str | None = None


def find_all(found: Inspection, trained: Trained) -> tuple[Finding, ...]:
    """All findings: first how well the model predicts, then the failures, then what it remembers."""
    rest = [*memory(found), *gradients(found, trained), *tracked(found), *gate_findings(found, trained)]
    first = list(predicts(found))
    broken = any(f.failure and f.kind in BROKEN for f in rest)
    if broken:  # other failures follow from this one, so that their remedies would not help
        first, rest = ([f if f.kind in BROKEN else replace(f, remedy=None) for f in part] for part in (first, rest))
    failures = sorted((f for f in rest if f.failure), key=lambda f: f.kind not in BROKEN)
    others = [f for f in rest if not f.failure]
    return (*failures, *first, *others) if broken else (*first, *failures, *sound(found, rest), *others)


def predicts(found: Inspection) -> Iterator[Finding]:
    """How often the model predicts the right token, and whether it has learned or memorised."""
    held, one = found.heldout, token_name(found.run["tokens_are"])
    on = "the held-out text" if found.text["own"] else found.text["name"]
    on += " (part of the training text)" if found.text["seen"] else ""
    yield Finding(
        "predicts", False,
        f"On {on} the model predicts the next {one} correctly in {percent(held.right)} of cases"
        f"{standard_error(100 * held.right_error, 1, ' %')}; in {percent(held.among_five)} it is among the five most "
        "likely.",
        {"right": held.right, "right_error": held.right_error, "among_five": held.among_five},
    )  # fmt: skip
    bpc, error = held.nats * found.bits, held.nats_error * found.bits
    text = f"The loss there is {bpc:.3f} bits per character{standard_error(error, 3)}"
    numbers: dict[str, float | None] = {"bpc": bpc, "bpc_error": error}
    orders = found.horizon.orders if found.horizon is not None else None
    failure, remedy = False, None
    if found.training is not None:
        own = found.training.nats * found.bits
        numbers["training_bpc"] = own
        text += f", on the training text {own:.3f}"
        if own < MEMORISED * bpc and (orders is None or orders.lead < 0):
            failure, remedy = True, "More --dropout, fewer --hidden units, fewer --epochs, or more text."
            text += f", which is {percent(own / bpc)} of it: the model has memorised the training text"
    text += "."
    if orders is not None and found.horizon is not None:
        lead, error = orders.lead * found.bits, orders.lead_error * found.bits
        numbers |= {"lead": lead, "lead_error": error, "order": orders.best}
        word = "less" if lead > 0 else "more"
        text += (
            f" On {len(found.horizon.positions):,} of these {one}s the loss of the model is {abs(lead):.3f} bits per "
            f"character{standard_error(error, 3)} {word} than that of the best n-gram model, of order {orders.best}."
        )
        if orders.undertrained:
            failure = True
            text += "" if remedy else " The model is undertrained."
            remedy = remedy or "More --epochs, or another --lr."
    yield Finding("learned", failure, text, numbers, remedy)


def memory(found: Inspection) -> Iterator[Finding]:
    """How much context the model uses."""
    if found.horizon is None:
        return
    limit = found.horizon.used
    yield Finding(
        "memory", False, str(found.horizon),
        {"horizon": limit.tokens, "estimate": limit.estimate, "low": limit.low, "eps": limit.eps},
    )  # fmt: skip


def gradients(found: Inspection, trained: Trained) -> Iterator[Finding]:
    """Vanishing and exploding gradients."""
    lag, lyapunov, step = found.lag, found.lyapunov, trained.model.step
    if lag is not None:
        window = trained.recipe.steps if trained.recipe is not None else None
        numbers: dict[str, float | None] = {"horizon": lag.horizon, "gain": lag.gain, "window": window}
        text = str(lag)
        forgets = window is not None and not lag.beyond and lag.horizon < FORGETS * window
        if forgets:
            text += (
                f" The training windows have {window} {step_name(lag.tokens_are)}s, but training can hardly learn "
                f"dependences over more than {steps(lag.horizon + 1, lag.tokens_are)}."
            )
        yield Finding("gradient", forgets, text, numbers, remembering(step, window or 100) if forgets else None)
        if lag.gain > math.exp(GROWS):
            yield Finding(
                "exploding", True,
                f"The gradient grows by a factor of {lag.gain:.3f} with each {step_name(lag.tokens_are)} further back.",
                {"gain": lag.gain}, "A smaller --clip or --lr; --init orthogonal.",
            )  # fmt: skip
    if lyapunov is not None:
        top, error = float(lyapunov.exponents[0]), float(lyapunov.standard_error[0])
        chaotic = top - 2 * error > GROWS
        yield Finding(
            "chaotic" if chaotic else "exponents", chaotic, str(lyapunov), {"exponent": top, "error": error},
            "A smaller --lr or --clip; more --weight-decay." if chaotic else None,
        )  # fmt: skip


def remembering(step: Step, window: int) -> str:
    """Remedies against vanishing gradients that the cell allows."""
    if "f" in step.gates:
        return f"--init chrono:{window}, or --init forget-bias:2."
    if "z" in step.gates:
        return f"--init chrono:{window}."
    return "A gated cell (--cell gru or lstm, with --init chrono), or --init orthogonal."


def gate_findings(found: Inspection, trained: Trained) -> Iterator[Finding]:
    """Saturated gates and dead units as failures, then the statistics of all gates."""
    figure = found.gates
    if figure is None:
        return
    for name, share in figure.saturated.items():
        mean = float(share.mean())
        if mean > SATURATED:
            yield Finding(
                "saturated", True,
                f"{named('Gate', name)} is above 0.97 or below -0.97 in {percent(mean)} of its values. The derivative "
                "of tanh is below 0.06 there, so its gradient nearly vanishes.",
                {"share": mean}, "A smaller --lr, a smaller --clip, or more --weight-decay.",
            )  # fmt: skip
    for name, share, word in stuck_gates(figure):
        yield Finding(
            "saturated", True,
            f"{named('Gate', name)} is {word} in at least 90 % of the steps for {percent(share)} of its units: it "
            "hardly responds to the text.",
            {"share": share}, "A smaller --lr, or --init with another bias of that gate.",
        )  # fmt: skip
    for name, dead in figure.dead.items():
        count = len(figure.state_sd[name])
        if len(dead) > DEAD * count:
            yield Finding(
                "dead", True, f"{len(dead)} of the {count} units of {named('state', name)} hardly change.",
                {"dead": len(dead), "units": count}, "A smaller --lr, another --seed, or fewer --hidden units.",
            )  # fmt: skip
    numbers: dict[str, float | None] = {f"closed {n}": float(v.mean()) for n, v in figure.closed.items()}
    numbers |= {f"open {n}": float(v.mean()) for n, v in figure.open.items()}
    yield Finding("gates", False, str(figure), numbers)


def stuck_gates(figure: Gates) -> Iterator[tuple[str, float, str]]:
    """(gate, share of its units, "closed" or "open") for the gates of which more than 90 % of the units are closed, or
    open, in at least 90 % of the steps."""
    for shares, word in ((figure.closed, "closed"), (figure.open, "open")):
        for name, share in shares.items():
            stuck = float((share >= 0.9).mean())
            if stuck > STUCK:
                yield name, stuck, word


def tracked(found: Inspection) -> Iterator[Finding]:
    """What the units track."""
    if found.units is None:
        return
    needed = sum(f.verdict == "needed" for f in found.units.features)
    tracks = sum(f.verdict == "tracks only" for f in found.units.features)
    yield Finding("units", False, str(found.units), {"needed": needed, "tracks_only": tracks})


def sound(found: Inspection, rest: list[Finding]) -> Iterator[Finding]:
    """That no gate, state or gradient has a failure, with the numbers."""
    if found.gates is None or any(f.failure for f in rest):
        return
    saturation = max((float(v.mean()) for v in found.gates.saturated.values()), default=0.0)
    dead = sum(len(v) for v in found.gates.dead.values())
    numbers: dict[str, float | None] = {"saturation": saturation, "dead": dead}
    text = f"No gate is saturated (at most {percent(saturation)} of a tanh gate's values), {dead} units are dead"
    if found.lyapunov is not None:
        numbers["exponent"] = float(found.lyapunov.exponents[0])
        text += f", and the state is not chaotic (largest Lyapunov exponent {found.lyapunov.exponents[0]:.3f})"
    yield Finding("sound", False, text + ".", numbers)


def standard_error(error: float, digits: int, unit: str = "") -> str:
    """The standard error in brackets, as text after a number; empty where it is not known."""
    return f" (standard error {error:.{digits}f}{unit})" if np.isfinite(error) else ""
