"""The torch engine: the cells that torch has, through torch's own fused functions (cuDNN, MIOpen, MPS, oneDNN).

It makes the calls that torch.nn.RNN, GRU and LSTM make, with the same parameters: the same numbers, bit for bit, at the
same speed, on every device and in every dtype, under autocast too. It has no kernels of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from types import MappingProxyType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from tidegate import cells
from tidegate.calculus import Step, trace
from tidegate.calculus.expression import Expression, subgraph
from tidegate.engines.call import Call, Result, Weights, checked_indices
from tidegate.engines.stack import Stack, StackResult
from tidegate.engines.torch_private import in_jit_trace
from tidegate.engines.transforms import refuse_derivatives

NAME = "torch"

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

#: Class indices become one-hot rows here; with more columns than this their product would dominate the time.
MOST_CLASSES = 1024

Signature = tuple[int, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Fused:
    """torch's functions for one cell: `sequence` for all steps and layers, `step` for one step of one layer.

    `mode` is the name of the cell in torch.nn.RNNBase.
    """

    mode: str
    sequence: Callable[..., tuple[Tensor, ...]]
    step: Callable[..., Any]


@cache
def fused() -> Mapping[Signature, Fused]:
    """torch's functions by the equations that they compute."""
    return MappingProxyType(
        {
            signature(trace(cells.RNN)): Fused("RNN_TANH", torch.rnn_tanh, torch.rnn_tanh_cell),
            signature(trace(cells.ReluRNN)): Fused("RNN_RELU", torch.rnn_relu, torch.rnn_relu_cell),
            signature(trace(cells.GRU)): Fused("GRU", torch.gru, torch.gru_cell),
            signature(trace(cells.LSTM)): Fused("LSTM", torch.lstm, torch.lstm_cell),
        }
    )


@cache
def fused_for(step: Step) -> Fused | None:
    """torch's functions for this step, or None if torch has none for its equations."""
    return fused().get(signature(step))


def signature(step: Step) -> Signature:
    """The equations without the names of the cell, its gates and its states.

    Two steps have one signature if they compute the same function of equally packed parameters: gates are numbered in
    packed order, states in the order of `Step.state`, and the arguments of sums and products have no order.
    """
    leaves = (("a", step.a), ("q", step.q), ("state", step.old), ("v", step.v))
    digest: dict[Expression, str] = {e: f"{kind} {k}" for kind, named in leaves for k, e in enumerate(named.values())}
    for e in subgraph([*(stage.operand for stage in step.stages), *step.new.values()]):
        if e not in digest:
            arguments = [digest[argument] for argument in e.args]
            if e.op in ("add", "mul", "maximum"):
                arguments.sort()
            digest[e] = sha256(f"{e.op} {e.value} ({', '.join(arguments)})".encode()).hexdigest()
    operands = {gate: digest[stage.operand] for stage in step.stages for gate in stage.gates}
    return len(step.inputs), tuple(operands[g] for g in step.products), tuple(digest[e] for e in step.new.values())


def refuse(call: Call) -> str | None:
    weights, w = parameters(call.weights), call.weights
    tensors = [call.x, *call.states, *weights]
    if (active := refuse_derivatives(tensors)) is not None:
        return active
    if (functions := fused_for(call.step)) is None:
        return "torch has no fused function of these equations; it has those of RNN, ReluRNN, GRU and LSTM"
    if call.keep_gates:
        return "torch's fused functions do not return gates"
    if call.resets is not None:
        return "torch's fused functions have no resets"
    if call.recompute and torch.is_grad_enabled():
        return "torch's fused functions do not recompute; use recompute=False"
    if (w.b_ih is None) != (w.b_hh is None):
        return "torch's fused functions take both biases or none"
    if w.w_hr is not None and (functions.sequence is not torch.lstm or w.w_hr.shape[0] >= call.H):
        return "torch projects the state of an LSTM only, to fewer columns than H"
    device, dtype = w.w_hh.device, w.w_hh.dtype
    if w.w_hr is not None and device.type == "mps":
        return "torch has no projected LSTM on mps"
    if dtype not in DTYPES:
        return f"it computes in float16, bfloat16, float32 and float64, and the weights are {dtype}"
    autocast = device.type != "meta" and torch.is_autocast_enabled(device.type)
    for t in tensors:
        if t.device != device:
            return f"the weights are on {device} and another tensor of the call is on {t.device}"
        if t.layout is not torch.strided or t.is_nested:
            return f"it takes dense tensors, and one of the call is {'nested' if t.is_nested else t.layout}"
        if t.dtype is not dtype and not autocast and not (t is call.x and call.indexed):
            return f"the weights are {dtype} and another tensor of the call is {t.dtype}"
    if call.T == 0 or 0 in w.w_ih.shape:
        return "the call is empty"
    if call.indexed and call.D > MOST_CLASSES:
        return (
            f"it makes one-hot rows of class indices, up to D = {MOST_CLASSES}, and D is {call.D}; "
            "use torch.nn.Embedding before the layer"
        )
    if call.lengths is not None and (type(call.lengths) is not Tensor or call.lengths.is_meta):
        return "it packs by the lengths, and these have no values"
    if call.lengths is not None and in_jit_trace():
        return "it packs by the lengths, and torch.jit.trace would record their present values as constants"
    return None


def run(call: Call) -> Result:
    """The sequence in one call of torch's function for sequences or, if it has one step, for cells."""
    w, functions = call.weights, fused_for(call.step)
    assert functions is not None
    x = one_hot(call.x, w) if call.indexed else call.x
    if call.T == 1 and call.lengths is None and w.w_hr is None:
        new = functions.step(x[0], one_or_all(call.states), *parameters(w))
        states = new if isinstance(new, tuple) else (new,)
        return Result(states[0].unsqueeze(0), states)
    rows = None if call.lengths is None else pack(call.lengths, call.T, reverse=call.reverse)
    if rows is None and call.reverse:
        x = x.flip(0)
    whole = tuple(s.unsqueeze(0) for s in call.states)
    y, states = run_padded(Stack(call.step, x, whole, (w,)), x, rows)
    y = y.flip(0) if rows is None and call.reverse else y
    return Result(y, tuple(s.squeeze(0) for s in states))


def run_stack(stack: Stack) -> StackResult:
    """All layers and directions in one call, with dropout between the layers as torch draws it there.

    The first layer's call must be one that `refuse` accepts.
    """
    x = stack.x
    if isinstance(x, PackedSequence):
        data = one_hot(x.data, stack.weights[0]) if x.data.dim() == 1 else x.data
        y, states = run_fused(stack, data, stack.states, x.batch_sizes)
        return StackResult(PackedSequence(y, x.batch_sizes), states)
    x = one_hot(x, stack.weights[0]) if x.dim() == 2 else x
    return StackResult(*run_padded(stack, x, None if stack.lengths is None else pack(stack.lengths, x.shape[0])))


def run_fused(
    stack: Stack, x: Tensor, states: tuple[Tensor, ...], batch_sizes: Tensor | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """torch's function on x (T, B, D), or on packed data (N, D) with its batch sizes."""
    functions = fused_for(stack.step)
    assert functions is not None
    weights = [p for w in stack.weights for p in parameters(w)]
    states = tuple(s.contiguous() for s in states)
    y, *final = functions.sequence(
        x,
        *(() if batch_sizes is None else (batch_sizes,)),
        one_or_all(states),
        weights,
        stack.weights[0].b_ih is not None,
        len(stack.weights) // stack.directions,
        float(stack.dropout) if stack.training else 0.0,
        trains(stack, [x, *states, *weights]),
        stack.directions == 2,
        *(() if batch_sizes is not None else (False,)),  # batch_first
    )
    return y, tuple(final)


def one_or_all(states: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """The states as torch's functions take them: one tensor, or a tuple of several."""
    h, *others = states
    return (h, *others) if others else h


def trains(stack: Stack, tensors: list[Tensor]) -> bool:
    """Whether torch's function is to be called as in training.

    cuDNN and MIOpen compute gradients only for calls in training mode. Without dropout the results are the same, so on
    a GPU a layer in eval() whose gradient may be needed is called as in training, and its backward pass works.
    """
    on_gpu = stack.weights[0].w_hh.is_cuda
    return stack.training or (on_gpu and torch.is_grad_enabled() and any(t.requires_grad for t in tensors))


def parameters(w: Weights) -> list[Tensor]:
    """The parameters of one layer and direction in torch's order, without a copy."""
    return [p for p in (w.w_ih, w.w_hh, w.b_ih, w.b_hh, w.w_hr) if p is not None]


def flatten(step: Step, weights: tuple[Weights, ...], directions: int) -> None:
    """On a GPU, make the parameters views of one buffer, as cuDNN expects and torch.nn's layers do. Nothing is done on
    other devices, for cells that torch does not have, and for weights that are not parameters.

    Without this torch copies them in each call. The parameter objects and their values stay the same.
    """
    functions, flat = fused_for(step), [p for w in weights for p in parameters(w)]
    if functions is None or not all(isinstance(p, nn.Parameter) for p in flat):
        return
    H = weights[0].w_ih.shape[0] // len(step.inputs)
    layer = SimpleNamespace(
        _flat_weights=flat,
        _flat_weights_names=[""] * len(flat),
        mode=functions.mode,
        bias=weights[0].b_ih is not None,
        input_size=weights[0].w_ih.shape[1],
        hidden_size=H,
        proj_size=0 if weights[0].w_hr is None else weights[0].w_hr.shape[0],
        num_layers=len(weights) // directions,
        batch_first=False,
        bidirectional=directions == 2,
    )
    nn.RNNBase.flatten_parameters(layer)  # type: ignore[arg-type]


def one_hot(x: Tensor, w: Weights) -> Tensor:
    """Class indices (...) as rows (..., D) in the dtype of the weights; on a CPU, IndicesError for one out of range."""
    x = checked_indices(x, w.w_ih.shape[1]) if x.is_cpu else x
    rows = torch.zeros(*x.shape, w.w_ih.shape[1], dtype=w.w_ih.dtype, device=x.device)
    return rows.scatter_(-1, x.long().unsqueeze(-1), 1)


@dataclass(frozen=True)
class Rows:
    """Where the rows of packed data are in a padded array (T * B, ...).

    index: (N,), the row of each packed row, t * B + b.
    batch_sizes: (longest,), on the CPU: how many sequences have a step t.
    order: (B,), the sequences, longest first.
    begun: (B, 1), false for the sequences of length 0; None if there is no such sequence.
    """

    index: Tensor
    batch_sizes: Tensor
    order: Tensor
    begun: Tensor | None

    def to(self, device: torch.device) -> "Rows":
        begun = None if self.begun is None else self.begun.to(device)
        return Rows(self.index.to(device), self.batch_sizes, self.order.to(device), begun)


def pack(lengths: Tensor, T: int, *, reverse: bool = False) -> Rows | None:
    """The packed order of sequences of these lengths; None if all have T steps.

    A sequence of length 0 is packed with one step, which `run_padded` removes again. With `reverse` each sequence is
    read from its last step to its first.
    """
    given = lengths.cpu()
    if bool((given == T).all()):
        return None
    B, length = len(given), given.clamp(min=1)
    length, order = torch.sort(length, descending=True, stable=True)
    t = torch.arange(int(length[0]), device="cpu").unsqueeze(1)
    inside = t < length
    index = ((length - 1 - t if reverse else t) * B + order)[inside]
    return Rows(index, inside.sum(1), order, (given > 0).unsqueeze(1) if bool((given == 0).any()) else None)


def run_padded(stack: Stack, x: Tensor, rows: Rows | None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """torch's function on x (T, B, D), packed by `rows` if lengths differ: beyond a length outputs are zero."""
    if rows is None:
        return run_fused(stack, x, stack.states)
    T, B, D = x.shape
    rows = rows.to(x.device)
    old = tuple(s.index_select(1, rows.order) for s in stack.states)
    data, new = run_fused(stack, x.reshape(T * B, D).index_select(0, rows.index), old, rows.batch_sizes)
    y = data.new_zeros(T * B, data.shape[1]).index_copy(0, rows.index, data).view(T, B, -1)
    back = torch.argsort(rows.order)
    states = tuple(s.index_select(1, back) for s in new)
    if rows.begun is None:
        return y, states
    kept = (torch.where(rows.begun, s, first.to(s.dtype)) for s, first in zip(states, stack.states))
    return y.masked_fill(~rows.begun, 0), tuple(kept)
