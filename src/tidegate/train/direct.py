"""The gradients of a language model's loss without torch's graph: the kernels of every layer are called one after the
other, forward and backward. The bits are those of `loss.backward()`; building and traversing
torch's graph would take longer than computing the output layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tidegate.engines import precision
from tidegate.nn.loss import refuse as refuse_loss
from tidegate.nn.stack import read_weights
from tidegate.train.model import LanguageModel, State

if TYPE_CHECKING:
    from tidegate.engines.autograd import Forward
    from tidegate.engines.call import Call


def usable(model: LanguageModel, engine: str) -> bool:
    """Whether the model is of the form that `Direct` knows, and runs on our kernels, the engine "cpu"."""
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


class Direct:
    """A language model of that form, with its weights."""

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.weights = model, read_weights(model.recurrent)

    @torch.no_grad()
    def set_gradients(self, x: Tensor, y: Tensor, state: State) -> tuple[Tensor, State]:
        """Set the gradients of `model.loss(x, y, state)`, and return it with the new state."""
        from tidegate.engines.call import Call
        from tidegate.engines.cpu import launch

        model, passes, outputs, products = self.model, [], x, precision.asked()
        for weights, start, rate in zip(self.weights, starts(model, state, x.shape[1]), rates(model)):
            call = Call(model.step, outputs, start, weights, precision=products)
            found = launch.forward(call, save=True)
            kept = None if rate == 0 else mask(found.outputs, rate)
            outputs = found.outputs if kept is None else found.outputs * kept
            passes.append((call, found, kept))
        loss, d = set_head_gradients(model.head, outputs, y)
        set_layer_gradients(passes, d)
        return loss, as_state([found.finals for _, found, _ in passes])


def set_head_gradients(head: nn.Linear, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Set the gradients of the output layer; returns the loss, and its gradient with respect to `outputs` (T, B, H)."""
    from tidegate.engines.cpu import linear_loss

    rows, has_bias = outputs.view(-1, outputs.shape[-1]), head.bias is not None
    found = linear_loss.losses(rows, head.weight, head.bias, y.reshape(-1), -100, keep=True)
    assert found.d is not None
    d, head.weight.grad, d_bias = linear_loss.gradients(
        rows, head.weight, found.d, 1 / max(found.count, 1), need_x=True, need_w=True, need_b=has_bias
    )
    if has_bias:
        head.bias.grad = d_bias
    assert d is not None
    return head.weight.new_tensor(found.mean), d.view(outputs.shape)


def set_layer_gradients(passes: list[tuple[Call, Forward, Tensor | None]], d: Tensor | None) -> None:
    """Set the gradients of every layer, from the last to the first; d (T, B, H) is that of the last outputs."""
    from tidegate.engines.autograd import Cotangents, Needed
    from tidegate.engines.cpu import launch

    for call, found, kept in reversed(passes):
        assert found.saved is not None
        assert d is not None
        cotangents = Cotangents(d if kept is None else d * kept, (None,) * len(call.states), None, None)
        gradients = launch.backward(call, found.saved, cotangents, Needed(not call.indexed, True, True))
        for weight, gradient in zip(call.weights.tensors(), gradients.weights):
            if weight is not None:
                weight.grad = gradient
        d = gradients.x


def starts(model: LanguageModel, state: State, B: int) -> list[tuple[Tensor, ...]]:
    """The initial states of every layer, (B, H) each."""
    layer, count = model.recurrent, len(model.step.state)
    if state is None:
        return [(model.head.weight.new_zeros(B, layer.hidden_size),) * count] * layer.num_layers
    tensors = (state,) if isinstance(state, Tensor) else state
    return list(zip(*(t.unbind(0) for t in tensors)))


def as_state(finals: list[tuple[Tensor, ...]]) -> State:
    """The final states of every layer, (B, H) each, as the state of the model."""
    if len(finals) == 1:
        stacked = tuple([t.unsqueeze(0) for t in finals[0]])
    else:
        stacked = tuple([torch.stack(tensors) for tensors in zip(*finals)])
    return stacked[0] if len(stacked) == 1 else stacked


def rates(model: LanguageModel) -> list[float]:
    """The rates of dropout behind every layer."""
    if not model.training:
        return [0.0] * model.recurrent.num_layers
    return [model.recurrent.dropout] * (model.recurrent.num_layers - 1) + [model.dropout.p]


def mask(y: Tensor, rate: float) -> Tensor:
    """The factors of dropout, 0 or 1 / (1 - rate), as torch draws them from the same random state."""
    return torch.empty_like(y).bernoulli_(1 - rate).div_(1 - rate)
