"""One training step of a stack of layers with an output layer, from class indices to the norm of the gradients, as a
chain of kernels whose arguments are written once.

    forward pass of every layer, dropout     loss and its gradients     backward pass of every layer     norm

A run changes a few arguments: the addresses of x, y and the states.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tidegate.calculus import Step
from tidegate.engines.autograd import Cotangents, Needed, Saved
from tidegate.engines.call import Call, Weights, checked_indices
from tidegate.engines.cpu import chain_calls, linear_loss, workspace
from tidegate.engines.cpu.chain import Chain
from tidegate.engines.cpu.kernel_call import KernelCall
from tidegate.engines.cpu.launch import backward_call, forward_call
from tidegate.engines.cpu.launch_plan import REAL
from tidegate.engines.cpu.update import NormCall
from tidegate.errors import IndicesError

#: The target of rows without a loss, as in torch's cross_entropy.
IGNORED = -100

Place = tuple[ctypes.Array, int]  # a word of the arguments of a kernel


class Form(NamedTuple):
    """T steps of B sequences; the rates of dropout behind each layer; and the precision of products, as in Call."""

    T: int
    B: int
    rates: tuple[float, ...]
    precision: str


class TrainingPass:
    """`run` sets `gradients`, those of the weights of every layer in the order of Weights.tensors, then of the output
    layer's weights and biases. They and all other memory of the pass keep their addresses.

    The weights are read at the addresses that they have now, and the gradients written at theirs: a caller must check
    before each run that they are still there (`fixed.FixedTensors`).
    """

    def __init__(self, step: Step, layers: Sequence[Weights], head: tuple[Tensor, Tensor | None], form: Form):
        made = _Calls(step, layers, head, form)
        self.gradients, self.masks = made.gradients, made.masks
        self.inputs, self.classes = layers[0].w_ih.shape[1], len(head[0])
        self.chain, self._alive = Chain(made.calls, REAL[head[0].dtype]), made.alive
        self._loss, self._norm = made.loss, made.norm
        self._x, self._y, self._starts, self._finals = (
            [self._place(*place) for place in places] for places in (made.x, made.y, made.starts, made.finals)
        )
        row = form.B * head[0].shape[1] * head[0].itemsize
        self._offsets = [k * row for k in range(len(layers)) for _ in step.state]
        self._states, self._zeros = len(step.state), [made.zeros.data_ptr()] * len(self._offsets)

    def _place(self, call: int, name: str) -> Place:
        return self.chain.arrays[call], list(self.chain.calls[call].kernel.arguments).index(name)

    def run(self, x: int, y: int, starts: Sequence[int], finals: Sequence[int]) -> bool:
        """Run it with class indices and targets (T, B), int64, at the addresses x and y, and with the addresses of the
        initial states, none for zeros, and of the final states: (layers, B, H) each, contiguous. False if an index or a
        target is not valid: then neither gradients nor states are written."""
        for mask, kept in self.masks:
            mask.bernoulli_(kept).div_(kept)  # the factors of dropout, drawn as torch draws them
        for array, i in self._x:
            array[i] = x
        for array, i in self._y:
            array[i] = y
        for (array, i), address in zip(self._starts, self._of_layers(starts) if starts else self._zeros):
            array[i] = address
        for (array, i), address in zip(self._finals, self._of_layers(finals)):
            array[i] = address
        return self.chain.run()

    def wrong(self, x: Tensor, y: Tensor) -> IndicesError:
        """The error for class indices x or targets y that `run` has rejected."""
        try:
            checked_indices(x, self.inputs)
        except IndicesError as error:
            return error
        return linear_loss.wrong_target(y.view(-1), self.classes, IGNORED)

    def _of_layers(self, states: Sequence[int]) -> list[int]:
        """The address of every state of every layer."""
        if len(self._offsets) == self._states:
            return list(states)
        return [states[i % self._states] + offset for i, offset in enumerate(self._offsets)]

    @property
    def loss(self) -> float:
        """The mean loss of the last run; NaN if no row has a loss."""
        return self._loss.mean.value

    @property
    def norm(self) -> float:
        """The norm of all gradients of the last run."""
        return self._norm.norm.value


class _Calls:
    """The calls of a pass in their order. `x`, `y`, `starts` and `finals` are places of words that each run changes:
    the number of the call, and the name of its argument. `masks` are the factors of dropout with the probability that
    each is not 0; `alive` holds what the calls write."""

    def __init__(self, step: Step, layers: Sequence[Weights], head: tuple[Tensor, Tensor | None], form: Form):
        self.step, self.form, self.layers, self.head = step, form, layers, head
        self.calls: list[KernelCall] = []
        self.x, self.y, self.starts, self.finals = ([] for _ in range(4))
        self.masks: list[tuple[Tensor, float]] = []
        self.alive: list[Any] = []
        self.gradients: list[Tensor] = []
        self.zeros = head[0].new_zeros(form.B, head[0].shape[1])
        self.index = torch.zeros((form.T, form.B), dtype=torch.int64, device="cpu")
        self.x.append(self.add(chain_calls.check(form.T * form.B, layers[0].w_ih.shape[1], 0), "index"))
        self.y.append(self.add(chain_calls.check(form.T * form.B, len(head[0]), IGNORED), "index"))
        passes, outputs = [], self.index
        for weights, rate in zip(layers, form.rates):
            call = Call(step, outputs, (self.zeros,) * len(step.state), weights, precision=form.precision)
            outputs, saved = self.forward(call)
            mask = None
            if rate:
                outputs, mask = self.drop(outputs, rate)
            passes.append((call, saved, mask))
        d = self.output_layer(outputs)
        for call, saved, mask in reversed(passes):
            if mask is not None:
                self.add(chain_calls.multiply(d, mask, d))
            d = self.backward(call, saved, d)
        self.norm = NormCall.of(self.gradients)
        self.add(self.norm.kernel_call)

    def add(self, call: KernelCall, word: str = "") -> tuple[int, str]:
        """Append a call; returns the place of one of its words."""
        self.calls.append(call)
        return len(self.calls) - 1, word

    def forward(self, call: Call) -> tuple[Tensor, Saved]:
        """The outputs, and what the backward pass needs."""
        found = forward_call(call, save=True)
        k, _ = self.add(found.kernel_call)
        self.alive.append(found.result)
        self.x += [(k, "index")] if call.indexed else []
        self.starts += [(k, f"start.{s}") for s in self.step.state]
        self.finals += [(k, f"final.{s}") for s in self.step.state]
        assert found.result.saved is not None
        return found.result.outputs, found.result.saved

    def drop(self, outputs: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """The outputs times the factors of dropout, and these."""
        mask, dropped = workspace.empty_like(outputs), workspace.empty_like(outputs)
        self.masks.append((mask, 1 - rate))
        self.add(chain_calls.multiply(outputs, mask, dropped))
        return dropped, mask

    def output_layer(self, outputs: Tensor) -> Tensor:
        """The gradient with respect to the outputs (T, B, H)."""
        (w, b), rows = self.head, outputs.view(-1, outputs.shape[-1])
        self.loss = linear_loss.LossCall.of(rows, w, b, self.index.view(-1), IGNORED, keep=True)
        found = linear_loss.GradientCall.of(
            rows, w, self.loss.d, self.loss.share, need_x=True, need_w=True, need_b=b is not None
        )
        self.y.append(self.add(self.loss.kernel_call, "target"))
        self.add(found.kernel_call)
        d, *own = found.gradients
        assert d is not None
        self.gradients = [t for t in own if t is not None]
        return d.unflatten(0, outputs.shape[:2])

    def backward(self, call: Call, saved: Saved, d: Tensor) -> Tensor:
        """The gradient with respect to the inputs of a layer, given that with respect to its outputs."""
        cotangents = Cotangents(d, (None,) * len(self.step.state), None, None)
        found = backward_call(call, saved, cotangents, Needed(not call.indexed, True, True))
        table, weights = found.table, found.result.weights
        self.alive.append(found.result)
        if table is not None:
            self.add(chain_calls.zero(table))
        k, _ = self.add(found.kernel_call)
        self.x += [(k, "index")] if call.indexed else []
        if table is not None and table is not weights[0]:
            assert weights[0] is not None
            self.add(chain_calls.transpose(table, weights[0]))
        self.gradients = [t for t in weights if t is not None] + self.gradients
        return d if found.result.x is None else found.result.x
