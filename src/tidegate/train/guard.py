"""The guard against NaN and infinity: refuses a step before it spoils the weights, and finds where it began."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tidegate.errors import DivergenceError
from tidegate.train.model import LanguageModel, State, cross_entropy

LOSS_LIMIT = 80.0  # nats per token: e^80 is near the end of float32, and a uniform guess among 10^6 tokens costs 14


def sound(loss: float, gradient_norm: float) -> bool:
    """True where the loss and the gradient norm of a step are finite and the loss is one that a model can have."""
    return loss < LOSS_LIMIT and math.isfinite(gradient_norm)  # a NaN loss fails the comparison


def blocks(model: LanguageModel) -> Iterator[tuple[str, str, slice]]:
    """(parameter, gate, rows) of every gate's block of every packed parameter of the recurrent layer.

    The input side (weight_ih, bias_ih) is packed by the gates that use a, the recurrent side (weight_hh, bias_hh) by
    the gates that have a product: see `tidegate.calculus.trace.Step`.
    """
    step, H = model.recurrent.step, model.recurrent.hidden_size
    for name, parameter in model.recurrent.named_parameters():
        if "_ih_" in name:
            gates = step.inputs
        elif "_hh_" in name:
            gates = step.products
        else:
            gates = step.vectors
        if len(parameter) != len(gates) * H:
            continue
        for k, gate in enumerate(gates):
            yield f"recurrent.{name}", gate, slice(k * H, (k + 1) * H)


def diverged(model: LanguageModel, x: Tensor, y: Tensor, state: State, figures: dict[str, float]) -> DivergenceError:
    """The error for a step on the window x, y (T, B) from `state` whose `figures` were not sound."""
    where = first_bad(model, x, y, state)
    return DivergenceError(
        f"training diverged at step {figures['step']:,} (epoch {figures['epoch']}): loss {figures['loss']:.4g} nats per "
        f"token, gradient norm {figures['gradient_norm']:.4g}. {where} The weights of this step were not changed "
        f"and not saved. Try a lower --lr (now {figures['lr']:g}) or a lower --clip (now {figures['clip']:g})."
    )


def first_bad(model: LanguageModel, x: Tensor, y: Tensor, state: State) -> str:
    """Which gate's block of which parameter went bad first, in words.

    Weights come first: a block that is not finite explains the rest. Then the window is replayed backwards: the
    gradient of the loss on its last n steps, n = 1, 2, ...; the first n at which a block's gradient is not
    finite is where backpropagation through time broke. A finite loss beyond the limit has no such block: then the
    block with the largest weights is named.
    """
    parameters = dict(model.named_parameters())
    ours = list(blocks(model))
    bad = [f"{gate} of {name}" for name, gate, rows in ours if not parameters[name][rows].isfinite().all()]
    if bad:
        return f"First bad: the weights of gate {', '.join(bad)}."
    for n in range(1, len(x) + 1):
        gradients = suffix_gradients(model, x, y, state, n)
        bad = [f"{gate} of {name}" for name, gate, rows in ours if not gradients[name][rows].isfinite().all()]
        if bad:
            return f"First bad, {n} step{'s' * (n > 1)} back through time: the gradient of gate {', '.join(bad)}."
        if not gradients["head.weight"].isfinite().all():
            return f"First bad, {n} step{'s' * (n > 1)} back through time: the gradient of head.weight."
    size = {f"{gate} of {name}": parameters[name][rows].abs().max().item() for name, gate, rows in ours}
    largest = max(size, key=lambda block: size[block])
    return f"Every gradient is finite; first to outgrow the rest: the weights of gate {largest} (up to {size[largest]:.3g})."


def suffix_gradients(model: LanguageModel, x: Tensor, y: Tensor, state: State, n: int) -> dict[str, Tensor]:
    """Gradients, by parameter, of the loss on the last `n` steps of the window, cut before them."""
    split = len(x) - n
    if split:
        with torch.no_grad():
            _, state = model(x[:split], state)
    names, values = zip(*model.named_parameters(), strict=True)
    with torch.enable_grad():
        scores, _ = model(x[split:], state)
        gradients = torch.autograd.grad(cross_entropy(scores, y[split:]), values, allow_unused=True, materialize_grads=True)
    return dict(zip(names, gradients, strict=True))
