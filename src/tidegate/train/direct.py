"""The gradients of a language model's loss without torch's graph: the kernels of every layer run one after the other in
one call, with arguments that were written in the first step. The bits are those of `loss.backward()`; building and
traversing torch's graph, and writing the arguments again, would take longer than computing the output layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tidegate.engines import precision
from tidegate.engines.torch_private import same_form
from tidegate.errors import ShapeError
from tidegate.nn.loss import refuse as refuse_loss
from tidegate.nn.stack import read_weights
from tidegate.train.model import LanguageModel, State


def usable(model: LanguageModel, engine: str) -> bool:
    """Whether `Direct` supports the model: a LanguageModel of one-directional layers, dropout and nn.Linear whose
    parameters all require gradients, on the engine "cpu"."""
    layer, head = model.recurrent, model.head
    own = [w for weights in read_weights(layer) for w in weights.tensors() if w is not None]
    known = [*own, head.weight, *([] if head.bias is None else [head.bias])]
    return (
        engine == "cpu"
        and type(model) is LanguageModel
        and type(head) is nn.Linear
        and type(model.dropout) is nn.Dropout
        and max(layer.dropout, model.dropout.p) < 1
        and [name for name, _ in model.named_children()] == ["recurrent", "dropout", "head"]
        and list(map(id, known)) == list(map(id, model.parameters()))
        and all(p.requires_grad for p in known)
        and not (layer.bidirectional or layer.batch_first or layer.proj_size or layer.recompute)
        and refuse_loss([own[0], head.weight, own[0], *known]) is None
    )


class Found(NamedTuple):
    """The loss in nats per token, the norm of all gradients, and the new state."""

    loss: float
    norm: float
    state: State


class Direct:
    """Computes the gradients of a model that is `usable`."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.recorded: RecordedStep | None = None

    def set_gradients(self, x: Tensor, y: Tensor, state: State) -> Found | None:
        """Set the gradients of `model.loss(x, y, state)`: the tensors of the last call, with new numbers, if they are
        still the gradients of the parameters, otherwise new tensors. None, and nothing is changed, if the model is no
        longer `usable`. Raises ShapeError and IndicesError as the model does."""
        if self.recorded is None or not self.recorded.fits(x, y, state):
            if not usable(self.model, "cpu"):
                return None
            x, y, state = plain(self.model, x, y, state)
            if self.recorded is None or not self.recorded.fits(x, y, state):
                self.recorded = None  # so that its memory can be used again
                self.recorded = RecordedStep(self.model, x, y)
        return self.recorded.run(x, y, state)

    @property
    def checked(self) -> Sequence[Tensor]:
        """The parameters and gradients whose addresses the last call has checked."""
        return () if self.recorded is None else self.recorded.fixed.tensors


class RecordedStep:
    """A step with class indices and targets of the form of x and y, (T, B) and contiguous, whose kernels have all of
    their arguments. `fits` checks all that these depend on."""

    def __init__(self, model: LanguageModel, x: Tensor, y: Tensor) -> None:
        from tidegate.engines.cpu import boundary, team
        from tidegate.engines.cpu.fixed import FixedTensors
        from tidegate.engines.cpu.training_pass import Form, TrainingPass

        layer, head, step = model.recurrent, model.head, model.step
        (T, B), weights = x.shape, read_weights(layer)
        self.threads, self.addresses = team.threads, boundary.addresses
        self.model, self.modules = model, (layer, model.dropout, head)
        self.settings = self.settings_now()
        (between, last), products, _ = self.settings
        rates = (between,) * (layer.num_layers - 1) + (last,)
        self.training_pass = TrainingPass(step, weights, (head.weight, head.bias), Form(T, B, rates, products))
        self.parameters, self.gradients = list(model.parameters()), self.training_pass.gradients
        tables = layer._parameters, head._parameters
        self.slots = [(table, name) for table in tables for name, p in table.items() if p is not None]
        self.fixed = FixedTensors([*self.parameters, *self.gradients])
        self.attached = False  # whether the gradients are those of the parameters
        self.state = head.weight.detach().new_empty(layer.num_layers, B, layer.hidden_size)
        self.count = len(step.state)
        given = [x, y, *[self.state] * self.count]
        self.same = {count: same_form(given[: 2 + count]) for count in (0, self.count)}
        extents = [(t.itemsize, t.nbytes) for t in given]
        self.extents = {count: extents[: 2 + count] for count in self.same}

    def settings_now(self) -> tuple[tuple[float, float], str, int]:
        """What a step depends on besides tensors: the rates of dropout between layers and behind the last one, the
        precision of products, and the number of threads."""
        layer, last, _ = self.modules
        rates = layer.dropout if layer.training else 0.0, last.p if last.training else 0.0
        return rates, precision.asked(), self.threads()

    def fits(self, x: Tensor, y: Tensor, state: State) -> bool:
        """Whether a step from this state is of the recorded form, and the parameters and their gradients are where they
        were."""
        parts = parts_of(state)
        same = self.same.get(len(parts))
        return (
            same is not None
            and same(x, y, *parts)
            and tuple(self.model._modules.values()) == self.modules
            and all(map(is_, [table.get(name) for table, name in self.slots], self.parameters))
            and all(map(is_, [p.grad for p in self.parameters], self.gradients))
            and self.settings_now() == self.settings
            and self.fixed.unchanged()
        )

    def run(self, x: Tensor, y: Tensor, state: State) -> Found:
        """Set the gradients; IndicesError for class indices or targets out of range, before they are changed."""
        finals = [torch.empty_like(self.state) for _ in range(self.count)]
        parts, found = parts_of(state), self.training_pass
        x_at, y_at, *starts = self.addresses((x, y, *parts), self.extents[len(parts)])
        if not found.run(x_at, y_at, starts, [t.data_ptr() for t in finals]):
            raise found.wrong(x, y)
        if not self.attached:
            for parameter, gradient in zip(self.parameters, self.gradients):
                parameter.grad = gradient
            self.attached = True
        return Found(found.loss, found.norm, finals[0] if self.count == 1 else tuple(finals))


def plain(model: LanguageModel, x: Tensor, y: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
    """The same as contiguous tensors, class indices as int64; ShapeError where their shapes do not fit."""
    if x.dim() != 2 or x.shape != y.shape:
        raise ShapeError(f"`x` and `y` must have the same shape (T, B), got {tuple(x.shape)} and {tuple(y.shape)}.")
    layer, parts = model.recurrent, parts_of(state)
    for part in parts:
        expected = (layer.num_layers, x.shape[1], layer.hidden_size)
        if tuple(part.shape) != expected:
            raise ShapeError(f"`state` must have shape (layers, B, H) = {expected}, got {tuple(part.shape)}.")
    dtype = model.head.weight.dtype
    parts = tuple(part.detach().to(dtype).contiguous() for part in parts)
    x, y = (t.to(torch.int64).contiguous() for t in (x, y))
    return x, y, parts[0] if isinstance(state, Tensor) else parts or None


def parts_of(state: State) -> tuple[Tensor, ...]:
    """The tensors of a state."""
    if state is None:
        return ()
    return (state,) if isinstance(state, Tensor) else state
