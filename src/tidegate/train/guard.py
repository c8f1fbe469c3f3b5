"""The guard against NaN and infinity: it rejects a step before the weights change, and finds the first such value."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tidegate.nn import trace
from tidegate.train.model import LanguageModel, State, cross_entropy

LOSS_LIMIT = 700.0  # nats per token: beyond it the perplexity e^loss overflows, though the loss is finite


def sound(loss: float, gradient_norm: float) -> bool:
    """True where the loss, its perplexity and the gradient norm of a step are finite."""
    return loss < LOSS_LIMIT and math.isfinite(gradient_norm)  # a NaN loss fails the comparison


def blocks(model: LanguageModel) -> Iterator[tuple[str, str, slice]]:
    """(parameter, gate, rows) of every gate's block of every packed parameter of the recurrent layer.

    The input side (weight_ih, bias_ih) is packed by the gates that use a, the recurrent side (weight_hh, bias_hh) by
    the gates that have a product: see `tidegate.calculus.trace.Step`.
    """
    step, H = model.step, model.recurrent.hidden_size
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


def weights_sound(model: LanguageModel) -> bool:
    """True where every weight is finite: only then may a checkpoint be written."""
    return all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def diverged(model: LanguageModel, x: Tensor, y: Tensor, state: State, *, step: int, loss: float, norm: float) -> str:
    """A description of the failure of a step on the window x, y (T, B) from `state`."""
    return (
        f"training diverged at step {step:,}: loss {loss:.4g} nats per token, gradient norm {norm:.4g}. "
        f"{first_bad(model, x, y, state)}"
    )


def first_bad(model: LanguageModel, x: Tensor, y: Tensor, state: State) -> str:
    """A description of the first value that is not finite.

    Checked in this order: the weights, since a weight that is not finite explains all other values; the gates and
    states of the forward pass, step by step; the gradient of the loss on the last n steps of the window, for
    n = 1, 2, ... up to the first n with a gradient that is not finite. Where all of these are finite and only the
    perplexity is not, the block with the largest weights is named.
    """
    parameters = dict(model.named_parameters())
    bad = [(name, gate) for name, gate, rows in blocks(model) if not parameters[name][rows].isfinite().all()]
    if bad:
        return f"Not finite: the weights of {listed(bad)}."
    if model.embedding is not None and not model.embedding.weight.isfinite().all():
        return "Not finite: embedding.weight."
    value = bad_value(model, x, state)
    if value is not None:
        return f"The equations of {model.step.name} give a value that is not finite from finite weights: {value}."
    for n in range(1, len(x) + 1):
        gradients = suffix_gradients(model, x, y, state, n)
        bad = [(name, gate) for name, gate, rows in blocks(model) if not gradients[name][rows].isfinite().all()]
        others = [name for name in ("embedding.weight", "head.weight") if name in gradients]
        outside = [name for name in others if not gradients[name].isfinite().all()]
        if bad or outside:
            where = listed(bad) if bad else " and ".join(outside)
            return f"Not finite, {n} step{'s' * (n > 1)} back through time: the gradient of {where}."
    size = {(name, gate): parameters[name][rows].abs().max().item() for name, gate, rows in blocks(model)}
    largest = max(size, key=lambda block: size[block])
    return (
        f"Every gradient is finite, but the perplexity is not. The largest weights are those of {listed([largest])} "
        f"(up to {size[largest]:.3g})."
    )


@torch.no_grad()
def bad_value(model: LanguageModel, x: Tensor, state: State) -> str | None:
    """A description of the first gate or state of the forward pass that is not finite; None where all are finite."""
    layer = model.recurrent
    engine, layer.engine = layer.engine, "eager"  # "eager" runs every cell on every device and returns every gate
    try:
        traced = trace(layer, model.inputs(x), state)
    finally:
        layer.engine = engine
    names = [f"{name}_l{k}" for k in range(layer.num_layers) for name in (*model.step.gates, *model.step.state)]
    finite = torch.stack([traced[name].isfinite().flatten(1).all(1) for name in names])  # (names, T)
    if finite.all():
        return None
    t = int((~finite.all(0)).int().argmax())
    name = names[int((~finite[:, t]).int().argmax())]
    bad = traced[name][t][~traced[name][t].isfinite()]
    kind = "gate" if name.rpartition("_l")[0] in model.step.gates else "state"
    return f"{kind} {name} is {bad[0].item()} at step {t + 1} of the window"


def equations_remedy(model: LanguageModel, x: Tensor, state: State) -> str | None:
    """Advice for a run whose first step fails because of the cell's equations; None where they are not the cause."""
    if bad_value(model, x, state) is None:
        return None
    return (
        "No step has been made, so --lr and --clip are not the cause: check the equations for a log, sqrt or division "
        "outside its domain, or an exp or a state that grows without bound."
    )


def listed(found: list[tuple[str, str]]) -> str:
    """Blocks (parameter, gate) as text: "gates r, z of weight_hh_l0, gate n of bias_hh_l0"."""
    gates: dict[str, list[str]] = {}
    for name, gate in found:
        gates.setdefault(name.removeprefix("recurrent."), []).append(gate)
    return ", ".join(f"gate{'s' * (len(g) > 1)} {', '.join(g)} of {name}" for name, g in gates.items())


def suffix_gradients(model: LanguageModel, x: Tensor, y: Tensor, state: State, n: int) -> dict[str, Tensor]:
    """Gradients, by parameter, of the loss on the last `n` steps of the window, from the detached state before them."""
    split = len(x) - n
    if split:
        with torch.no_grad():
            _, state = model(x[:split], state)
    names, values = zip(*model.named_parameters(), strict=True)
    with torch.enable_grad():
        scores, _ = model(x[split:], state)
        gradients = torch.autograd.grad(
            cross_entropy(scores, y[split:]), values, allow_unused=True, materialize_grads=True
        )
    return dict(zip(names, gradients, strict=True))
