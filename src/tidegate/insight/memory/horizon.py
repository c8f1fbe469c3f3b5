"""The memory horizon of a language model: how many of the last tokens its predictions depend on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tidegate.errors import ArgumentError, ShapeError
from tidegate.insight.figure import Figure
from tidegate.insight.memory.blocks import BLOCK, FEWEST, Places, spread
from tidegate.insight.memory.context import ContextLosses, context_lengths, context_losses
from tidegate.insight.memory.orders import Orders, compare_orders, training_tokens
from tidegate.insight.memory.readout import Readout, linear_readout, readout_positions
from tidegate.insight.memory.runner import Indices, Runner, States, at
from tidegate.insight.memory.swap import Swap, swap_test
from tidegate.insight.memory.threshold import Horizon, horizon, smallest
from tidegate.insight.reading import read
from tidegate.insight.recording import Array
from tidegate.insight.subject import Data, Model, Subject, as_input, as_subject, need_steps
from tidegate.insight.threads import one_blas_thread
from tidegate.text import Progress, TokenArray

LIMITS = (0.01, 0.03)  # nats
LAGS = 64  # lags of the linear readout at most


@dataclass(frozen=True, eq=False, repr=False)
class MemoryHorizon(Figure):
    """The loss of a token against the number n of last tokens that the state was built from, in nats per token.

    lengths (N,): n.   zero (N,): the mean loss over the targets, each predicted after the last n tokens before it,
    beginning with the zero state.   donor (N,): the same, beginning with the state at another position of the text. A
    trained model is rarely in the zero state, which can raise the loss more than the missing context does; the donor
    state is one that occurs in text, but belongs to another context.
    full, full_error: the mean loss after all tokens before the target, `context` or more of them.
    zero_delta, donor_delta (N,): Delta(n), the mean of the paired differences to the full loss, with standard errors
    zero_error and donor_error from block means. A 95 % interval is `bound` standard errors to each side.
    used: the smaller of the two horizons at 0.01 nats, an upper bound of the context that is used.
    horizons: the context that the model uses, for each curve and each limit of 0.01 and 0.03 nats.
    orders: n-gram models on the same targets, None where no training text was given.
    swap, readout: the swap test and the linear readout on the same text.
    positions (M,): the indices of the targets in the sequence.   blocks, span: the targets lie in `blocks` adjacent
    blocks of `span` tokens or more, the same number in each.   tokens_are: "char", "byte" or "word", None if not known.

    Source: U. Khandelwal, H. He, P. Qi, D. Jurafsky, Sharp nearby, fuzzy far away, arXiv:1805.04623 (2018).
    """

    lengths: NDArray[np.int64]
    zero: Array
    zero_delta: Array
    zero_error: Array
    donor: Array
    donor_delta: Array
    donor_error: Array
    full: float
    full_error: float
    bound: float
    horizons: tuple[Horizon, ...]
    used: Horizon
    orders: Orders | None
    swap: Swap
    readout: Readout
    positions: NDArray[np.int64]
    blocks: int
    span: int
    context: int
    tokens_are: str | None


@one_blas_thread
def memory_horizon(
    model: Model,
    data: Data,
    *,
    train: Tensor | TokenArray | None = None,
    longest: int = 256,
    targets: int = 1024,
    max_order: int = 6,
    seed: int = 0,
    progress: Progress | None = None,
) -> MemoryHorizon:
    """Measure how far back a language model uses the text `data`, which it should not have been trained on.

    `data` is one sequence: a text, or token indices (T,). About `targets` of its tokens, spread at random over 8 to 64
    equal blocks of at least 200 tokens, are predicted from their last n tokens, n = 1, 2, 3, 4, 6, 8, 12, ...,
    `longest`. `train` are the tokens of the training text, on which n-gram models of order 0 to `max_order` are
    counted. `seed` determines the targets, the donors and the replaced tokens.

    The model runs in float32 on the CPU, whatever its own precision: rounding changes a loss by about 1e-6 nats. The
    two curves take 2 * targets * sum(lengths) steps of one sequence, 1.8 million with the defaults.

    Raises ArgumentTypeError and ArgumentError for a model or data that cannot be measured, and ShapeError for a text
    of less than 2 * longest + 1600 tokens.
    """
    subject = as_subject(model, language_model=True)
    x, lengths = one_sequence(subject, data), context_lengths(longest)
    for name, value, least in (("targets", targets, 1), ("max_order", max_order, 0), ("seed", seed, 0)):
        if value < least:
            raise ArgumentError(f"`{name}` must be at least {least}, got {value}.")
    before = 2 * longest
    known = None if train is None else training_tokens(train, subject.layer.input_size)
    need_steps(x, before + FEWEST * BLOCK, f"a memory horizon of up to {longest} tokens")
    random = np.random.default_rng(seed)
    places = spread(before, len(x), targets, random)
    few = places.thinned(targets // 4)
    swapped = Places(places.positions[few], places.blocks, places.span)
    lags = min(LAGS, max(1, longest // 4))
    features = subject.layer.hidden_size * len(subject.step.state)
    rows, split = readout_positions(longest, len(x), lags, features, random)
    kind = subject.tokens_are
    with (progress or Progress()).track("Measuring the memory horizon", 3 * int(lengths.sum())) as advance:
        runner = Runner.of(subject)
        wanted = np.unique(np.concatenate([
            places.positions - 1, rows, *(swapped.positions - k - 1 for k in lengths),
        ]))  # fmt: skip
        states, built = runner.along(x, wanted, before)

        def reach(positions: Indices) -> States:
            return at(states, np.searchsorted(wanted, positions))

        here = np.searchsorted(wanted, places.positions - 1)
        losses = context_losses(runner, x, places, at(states, here), built[here], lengths, random, advance)
        swap = swap_test(runner, x, swapped, lengths, reach, random, advance, kind)
        top = torch.cat([part[-1] for part in reach(rows)], -1)
        names = tuple(f"{s}_l{subject.layer.num_layers - 1}" for s in subject.step.state)
        readout = linear_readout(top, x, rows, split, lags, names, kind)
    orders = None
    if known is not None:
        orders = compare_orders(known, x, subject.layer.input_size, places, losses, max_order)
    return summarise(losses, places, orders, swap, readout, kind)


def summarise(
    losses: ContextLosses, places: Places, orders: Orders | None, swap: Swap, readout: Readout, kind: str | None
) -> MemoryHorizon:
    """Means, paired differences, their errors, and the horizons."""
    differences = {"zero": losses.zero - losses.full, "donor": losses.donor - losses.full}
    delta = {curve: found.mean(-1) for curve, found in differences.items()}
    error = {curve: places.error(found) for curve, found in differences.items()}
    horizons = tuple(
        horizon(curve, losses.lengths, delta[curve], error[curve], places.bound, eps)
        for curve in delta
        for eps in LIMITS
    )
    return MemoryHorizon(
        lengths=losses.lengths,
        zero=losses.zero.mean(-1),
        zero_delta=delta["zero"],
        zero_error=error["zero"],
        donor=losses.donor.mean(-1),
        donor_delta=delta["donor"],
        donor_error=error["donor"],
        full=float(losses.full.mean()),
        full_error=float(places.error(losses.full)),
        bound=places.bound,
        horizons=horizons,
        used=smallest(horizons, LIMITS[0]),
        orders=orders,
        swap=swap,
        readout=readout,
        positions=places.positions,
        blocks=places.blocks,
        span=places.span,
        context=losses.context,
        tokens_are=kind,
    )


def one_sequence(subject: Subject, data: Data) -> Tensor:
    """The token indices (T,) of the data. ShapeError unless it is one sequence of tokens."""
    x = as_input(subject, read(subject, data, "data").ids if isinstance(data, str) else data)
    if x.is_floating_point() or x.shape[1] != 1:
        raise ShapeError(
            f"`data` must be one sequence of token indices (T,), or a text, got {tuple(x.shape)} of {x.dtype}. "
            "Give one sequence."
        )
    return x[:, 0]
