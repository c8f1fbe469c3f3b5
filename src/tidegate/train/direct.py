"""The gradients of a language model's loss without torch's graph: the kernels of every layer are called one after the
other, forward and backward. The bits are those of `loss.backward()`; recording and walking the graph takes longer than
the output layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tidegate.nn.loss import refuse as refuse_loss
from tidegate.nn.stack import read_weights
from tidegate.train.model import LanguageModel, State

if TYPE_CHECKING:
    from tidegate.engines.autograd import Forward
    from tidegate.engines.call import Call


def usable(model: LanguageModel, engine: str) -> bool:
    """Whether the model is of the form that `set_gradients` knows, and runs on our kernels, the engine "cpu"."""
    layer, head = model.recurrent, model.head
    own = [w for weights in read_weights(layer) for w in weights.tensors() if w is not None]
    known = [*own, head.weight, *([] if head.bias is None else [head.bias])]
    return (
        engine == "cpu"
        and type(model) is LanguageModel
        and type(head) is nn.Linear
        and [name for name, _ in model.named_children()] == ["recurrent", "dropout", "head"]
        and list(map(id, known)) == list(map(id, model.parameters()))
        and all(p.requires_grad for p in known)
        and not (layer.bidirectional or layer.batch_first or layer.proj_size or layer.recompute)
        and refuse_loss([own[0], head.weight, own[0], *known]) is None
    )


@torch.no_grad()
def set_gradients(model: LanguageModel, x: Tensor, y: Tensor, state: State) -> tuple[Tensor, State]:
    """Set the gradients of `model.loss(x, y, state)`, and return it with the new state."""
    from tidegate.engines.autograd import Cotangents, Needed
    from tidegate.engines.call import Call
    from tidegate.engines.cpu import launch, linear_loss

    layer, head, step = model.recurrent, model.head, model.step
    rate = model.dropout.p if model.training else 0.0
    inner = layer.dropout if model.training else 0.0
    passes: list[tuple[Call, Forward, Tensor | None]] = []
    outputs = x
    for k, (weights, start) in enumerate(zip(read_weights(layer), starts(model, state, x.shape[1]))):
        call = Call(step, outputs, start, weights)
        found = launch.forward(call, save=True)
        kept = mask(found.outputs, rate if k + 1 == layer.num_layers else inner)
        outputs = found.outputs if kept is None else found.outputs * kept
        passes.append((call, found, kept))

    rows = outputs.view(-1, layer.hidden_size)
    target = y.reshape(-1)
    losses = linear_loss.losses(rows, head.weight, head.bias, target, -100, keep=True)
    assert losses.d is not None
    loss = losses.losses.sum() / losses.count
    scale = torch.ones((), dtype=loss.dtype) / max(losses.count, 1)
    d, head.weight.grad, d_bias = linear_loss.gradients(
        rows, head.weight, losses.d, scale, need_x=True, need_w=True, need_b=head.bias is not None
    )
    if head.bias is not None:
        head.bias.grad = d_bias
    d = None if d is None else d.view(*x.shape, layer.hidden_size)
    nothing = (None,) * len(step.state)
    for k, (call, found, kept) in reversed(list(enumerate(passes))):
        assert found.saved is not None
        assert d is not None
        d = d if kept is None else d * kept
        gradients = launch.backward(call, found.saved, Cotangents(d, nothing, None, None), Needed(k > 0, True, True))
        for weight, gradient in zip(call.weights.tensors(), gradients.weights):
            if weight is not None:
                weight.grad = gradient
        d = gradients.x
    final = tuple(torch.stack(tensors) for tensors in zip(*(found.finals for _, found, _ in passes)))
    return loss, final[0] if len(final) == 1 else final


def starts(model: LanguageModel, state: State, B: int) -> list[tuple[Tensor, ...]]:
    """The initial states of every layer, (B, H) each."""
    layer, count = model.recurrent, len(model.step.state)
    if state is None:
        return [(model.head.weight.new_zeros(B, layer.hidden_size),) * count] * layer.num_layers
    tensors = (state,) if isinstance(state, Tensor) else state
    return list(zip(*(t.unbind(0) for t in tensors)))


def mask(y: Tensor, rate: float) -> Tensor | None:
    """The factors of dropout, 0 or 1 / (1 - rate), as torch draws them from the same random state; None without it."""
    return None if rate == 0 else torch.empty_like(y).bernoulli_(1 - rate).div_(1 - rate)
