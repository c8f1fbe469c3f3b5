"""Sentences on the memory horizon, the swap test and the linear readout."""

from tidegate.insight.memory.horizon import MemoryHorizon
from tidegate.insight.memory.orders import Orders
from tidegate.insight.memory.readout import Readout
from tidegate.insight.memory.swap import Swap
from tidegate.insight.memory.threshold import Horizon
from tidegate.insight.sentences.base import named, sentence, token_name


@sentence.register
def _(figure: MemoryHorizon) -> str:
    used = figure.used
    parts = [uses(figure, used)]
    other = next(each for each in figure.horizons if each.curve != used.curve and each.eps == used.eps)
    before = "comes from an unrelated text" if other.curve == "donor" else "is zero"
    if other.tokens is not None and used.tokens is not None and other.tokens > used.tokens:
        parts.append(f"If the state before them {before}, {many(figure.tokens_are, other.tokens)} are needed.")
    if figure.orders is not None:
        parts.append(compared(figure.orders, figure.tokens_are))
    return " ".join(parts)


def uses(figure: MemoryHorizon, found: Horizon) -> str:
    """How much context the model uses, or why that is not known."""
    one, longest = token_name(figure.tokens_are), int(figure.lengths[-1])
    loss = f"{figure.full:.3f} ± {figure.full_error:.3f} (standard error) nats per {one}"
    full = f"the loss with the full context, {loss}"
    zero = found.curve == "zero"
    delta, error = (figure.zero_delta, figure.zero_error) if zero else (figure.donor_delta, figure.donor_error)
    last = f"{delta[-1]:.4f} ± {error[-1]:.4f} nats above {full}"
    if found.tokens is not None:
        used = many(figure.tokens_are, found.tokens)
        between = f" (95 % interval {found.low} to {found.tokens})" if found.low != found.tokens else ""
        return (
            f"The model uses at most {used} of context{between}: with that many or more, its loss is less than "
            f"{found.eps:g} nats above {full}."
        )
    if found.reason == "longer":
        return (
            f"The model uses more than {many(figure.tokens_are, longest)} of context: with the last {longest} its loss "
            f"is still {last}."
        )
    return (
        f"These data do not decide whether {many(figure.tokens_are, longest)} of context are enough (to within "
        f"{found.eps:g} nats): with that many the loss is {last}. A larger sample, or a longer text, may decide."
    )


def compared(orders: Orders, tokens_are: str | None) -> str:
    """The best n-gram model beside the recurrent one."""
    best, n = f"best n-gram model, of order {orders.best},", orders.equivalent[orders.best]
    lead = f"{abs(orders.lead):.3f} ± {orders.lead_error:.3f} nats {'better' if orders.lead >= 0 else 'worse'}"
    if orders.undertrained:
        return f"The model is undertrained: with its full context it is {lead} than the {best[:-1]}."
    equal = f"predicts as well as this model with {many(tokens_are, n)} of context" if n is not None else (
        "predicts better than this model with any context that was measured"
    )  # fmt: skip
    return f"The {best} {equal}; with its full context the model is {lead}."


@sentence.register
def _(figure: Swap) -> str:
    one, longest = token_name(figure.tokens_are), int(figure.lags[-1])
    if figure.fades is None:
        until = (
            f"For the {one} at lag {longest}, the longest measured, the change is {figure.kl[-1]:.4f} ± "
            f"{figure.kl_error[-1]:.4f} nats"
        )
    else:
        until = f"For a {one} at lag {figure.fades} or more, the change is below 0.01 nats"
    return (
        f"Replacing the last {one} by another changes the prediction by {figure.kl[0]:.2f} ± {figure.kl_error[0]:.2f} "
        f"nats (KL divergence, mean of {figure.targets} predictions ± standard error). {until}."
    )


@sentence.register
def _(figure: Readout) -> str:
    last, one = len(figure.lags) - 1, token_name(figure.tokens_are)
    states = " and ".join(named("state", name) for name in figure.states)
    return (
        f"A linear readout of {states} recovers {figure.capacity:.1f} of the last {last + 1} {one}s (the sum of R^2 "
        f"over lags 0 to {last}). A readout of the last {one} alone recovers {figure.token_capacity:.1f}, because "
        f"neighbouring {one}s of a text depend on each other. R^2 of the readout of the state is {figure.r2[0]:.2f} ± "
        f"{figure.error[0]:.2f} at lag 0 and {round(float(figure.r2[-1]), 2) + 0.0:.2f} ± {figure.error[-1]:.2f} at "
        f"lag {last}."
    )


def many(tokens_are: str | None, count: int) -> str:
    """A number of tokens, by their kind."""
    return f"{count:,} {token_name(tokens_are)}{'s' * (count != 1)}"
