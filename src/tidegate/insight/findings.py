"""What the measurements of a run say: results, and failures with a remedy. Every sentence contains its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tidegate.calculus import Step
from tidegate.insight.gates import Gates
from tidegate.insight.sentences.base import percent, steps
from tidegate.train.load import Trained
from tidegate.train.verdict import MEMORISED

if TYPE_CHECKING:
    from tidegate.insight.inspection import Inspection

SATURATED = 0.5  # share of a candidate's values beyond ±0.97
STUCK = 0.9  # share of a gate's units that are closed, or open, in 90 % of the steps
DEAD = 0.05  # share of the units of a state
GROWS = 0.01  # nats per step
FORGETS = 0.5  # of the window of the training


@dataclass(frozen=True)
class Finding:
    """kind: what it is about.   failure: whether something is wrong.   sentence: what was measured, with numbers.
    numbers: the figures that it rests on, by name.   remedy: what to try, None for a result.
    """

    kind: str
    failure: bool
    sentence: str
    numbers: Mapping[str, float | None]
    remedy: str | None = None


def find_all(found: Inspection, trained: Trained) -> tuple[Finding, ...]:
    """All findings, first how well it predicts, then failures, then what it remembers."""
    rest = [*memory(found), *gradients(found, trained), *gate_findings(found, trained), *tracked(found)]
    return (
        *predicts(found),
        *(f for f in rest if f.failure),
        *sound(found, rest),
        *(f for f in rest if not f.failure),
    )


def predicts(found: Inspection) -> Iterator[Finding]:
    """How often it is right, and whether it has learned or memorised."""
    held, what = found.heldout, token_name(found)
    of = "the held-out text" if found.text["own"] else found.text["name"]
    yield Finding(
        "predicts", False,
        f"It gives the next {what} of {of} the highest probability in {percent(held.right)} of cases"
        f"{plus_minus(100 * held.right_error, 1, ' %')}, and {percent(held.among_five)} are among its five best.",
        {"right": held.right, "right_error": held.right_error, "among_five": held.among_five},
    )  # fmt: skip
    bpc, error = held.nats * found.bits, held.nats_error * found.bits
    text = f"Its loss there is {bpc:.3f}{plus_minus(error, 3)} bits per character"
    numbers: dict[str, float | None] = {"bpc": bpc, "bpc_error": error}
    orders = found.horizon.orders if found.horizon is not None else None
    failure, remedy = False, None
    if found.training is not None:
        own = found.training.nats * found.bits
        numbers["training_bpc"] = own
        text += f", on its training text {own:.3f}"
        if own < MEMORISED * bpc and (orders is None or orders.lead < 0):
            failure, remedy = True, "More --dropout, fewer --hidden units, fewer --epochs, or more text."
            text += f": it has memorised its training text ({percent(own / bpc)} of the held-out loss)"
    text += "."
    if orders is not None:
        lead, error = orders.lead * found.bits, orders.lead_error * found.bits
        numbers |= {"lead": lead, "lead_error": error, "order": orders.best}
        word = "better" if lead > 0 else "worse"
        text += (
            f" On the same tokens that is {abs(lead):.3f}{plus_minus(error, 3)} bits {word} than the best n-gram model "
            f"(order {orders.best}), which only counts."
        )
        if orders.undertrained:
            failure = True
            remedy = remedy or "It is undertrained: more --epochs, or another --lr."
    yield Finding("learned", failure, text, numbers, remedy)


def memory(found: Inspection) -> Iterator[Finding]:
    """How much context it uses."""
    if found.horizon is None:
        return
    limit = next(h for h in found.horizon.horizons if h.curve == "zero")
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
                f" It forgets within {steps(lag.horizon + 1)}, while it was trained on windows of {window}: training "
                "can hardly learn dependences that are longer."
            )
        yield Finding("gradient", forgets, text, numbers, remembering(step, window or 100) if forgets else None)
        if lag.gain > math.exp(GROWS):
            yield Finding(
                "exploding", True,
                f"Gradients grow by a factor of {lag.gain:.3f} per step on their way back through time.",
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
    """Remedies against forgetting that the cell allows."""
    if "f" in step.gates:
        return f"--init chrono:{window}, or --init forget-bias:2."
    if "z" in step.gates:
        return f"--init chrono:{window}."
    return "A gated cell (--cell gru or lstm, with --init chrono), or --init orthogonal."


def gate_findings(found: Inspection, trained: Trained) -> Iterator[Finding]:
    """Saturated gates and dead units; otherwise what the gates do."""
    figure = found.gates
    if figure is None:
        return
    for name, share in figure.saturated.items():
        mean = float(share.mean())
        if mean > SATURATED:
            yield Finding(
                "saturated", True,
                f"{name} is beyond ±0.97 in {percent(mean)} of its values: its derivative there is below 0.06, so that "
                "little gradient passes.",
                {"share": mean}, "A smaller --lr, a smaller --clip, or more --weight-decay.",
            )  # fmt: skip
    for name, share, word in stuck_gates(figure):
        yield Finding(
            "saturated", True,
            f"{percent(share)} of the units of {name} are {word} in at least 90 % of the steps: that gate does not "
            "respond to the text.",
            {"share": share}, "A smaller --lr, or --init with another bias of that gate.",
        )  # fmt: skip
    for name, dead in figure.dead.items():
        count = len(figure.state_sd[name])
        if len(dead) > DEAD * count:
            yield Finding(
                "dead", True, f"{len(dead)} of the {count} units of {name} never change.",
                {"dead": len(dead), "units": count}, "A smaller --lr, another --seed, or fewer --hidden units.",
            )  # fmt: skip
    numbers: dict[str, float | None] = {f"closed {n}": float(v.mean()) for n, v in figure.closed.items()}
    numbers |= {f"open {n}": float(v.mean()) for n, v in figure.open.items()}
    yield Finding("gates", False, str(figure), numbers)


def stuck_gates(figure: Gates) -> Iterator[tuple[str, float, str]]:
    """Gates most of whose units are always closed, or always open."""
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
    """That none of the failures was found, with the figures."""
    if found.gates is None or any(f.failure for f in rest):
        return
    saturation = max((float(v.mean()) for v in found.gates.saturated.values()), default=0.0)
    dead = sum(len(v) for v in found.gates.dead.values())
    numbers: dict[str, float | None] = {"saturation": saturation, "dead": dead}
    text = f"No saturation (at most {percent(saturation)} of a candidate's values), {dead} dead units"
    if found.lyapunov is not None:
        numbers["exponent"] = float(found.lyapunov.exponents[0])
        text += f", no explosion (largest Lyapunov exponent {found.lyapunov.exponents[0]:.3f})"
    yield Finding("sound", False, text + ".", numbers)


def token_name(found: Inspection) -> str:
    return {"char": "character", "byte": "byte"}.get(found.run["tokens_are"], "word")


def plus_minus(error: float, digits: int, unit: str = "") -> str:
    """The standard error, as text after a number; empty where it is not known."""
    return f" (± {error:.{digits}f}{unit})" if np.isfinite(error) else ""
