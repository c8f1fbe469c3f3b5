"""Runs all layers and directions of a layer: in one engine call if the engine supports this, otherwise in one call
each.

CellLayer.forward -> run_stack -> engines.choose.select -> run_together, or run_direction for each layer and direction
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from tidegate.engines import Call, Result, Weights, choose, operator, precision
from tidegate.engines.choose import Engine
from tidegate.engines.stack import Stack
from tidegate.nn.equations import step_of
from tidegate.nn.sequence import Sequence, autocasts
from tidegate.nn.state import State, as_state, final_state, initial_states

if TYPE_CHECKING:
    from tidegate.nn.layer import CellLayer

Record = list[tuple[Call, Result]]


def run_stack(
    layer: CellLayer,
    weights: tuple[Weights, ...],
    sequence: Sequence,
    hx: State | None = None,
    *,
    record: Record | None = None,
) -> tuple[Tensor | PackedSequence, State]:
    """Outputs (T, B, H * directions), or packed if the input is packed and the engine takes it so; and the final state.

    With a `record`, the call of every layer and direction is appended to it, with its result, gates included.
    """
    states, engine, first = initial_states(layer, weights[0], sequence, hx), None, None
    products = precision.asked()
    if not torch.compiler.is_compiling():
        first = first_call(layer, weights, sequence, states, products, keep_gates=record is not None)
        engine = choose.select(first, layer.engine)
        if engine.NAME in choose.STACKED:
            return run_together(layer, weights, sequence, states, engine)
    final: list[tuple[Tensor, ...]] = []
    w, n, x = weights[0].w_hh, directions(layer), sequence.x
    with weights_dtype(w):
        if x.is_floating_point() and x.dtype is not w.dtype:
            x = x.to(w.dtype)
        if states[0][0].dtype is not w.dtype:
            states = [tuple([s.to(w.dtype) for s in own]) for own in states]
        for k in range(layer.num_layers):
            here = [
                run_direction(
                    layer,
                    i,
                    weights[i],
                    sequence,
                    x,
                    states[i],
                    products,
                    None if i else first,
                    None if i else engine,
                    record,
                )
                for i in range(k * n, k * n + n)
            ]
            x = here[0].outputs if n == 1 else torch.cat([result.outputs for result in here], -1)
            if layer.dropout and layer.training and k + 1 < layer.num_layers:
                x = sequence.drop(x, layer.dropout)
            final += [result.states for result in here]
        return x, final_state(sequence, final)


def run_direction(
    layer: CellLayer,
    i: int,
    weights: Weights,
    sequence: Sequence,
    x: Tensor,
    states: tuple[Tensor, ...],
    products: str,
    first: Call | None,
    engine: Engine | None,
    record: Record | None,
) -> Result:
    """Layer and direction number i, on `engine`, or if that is None on the engine selected for it; in a program of
    torch.compile or torch.export, as one operator. `first` is used if it is a call with these tensors; `products` is
    the precision of the products."""
    reverse = i % directions(layer) == 1
    if torch.compiler.is_compiling():
        resets = sequence.resets_for(reverse)
        return operator.record(
            layer.cell, layer.engine, reverse, layer.recompute, products, x, states, weights, sequence.lengths, resets
        )
    call = first
    if call is None or call.x is not x or call.states is not states:
        call = as_call(layer, weights, sequence, x, states, products, reverse=reverse, keep_gates=record is not None)
    result = (engine or choose.select(call, layer.engine)).run(call)
    if record is not None:
        record.append((call, result))
    return result


def run_together(
    layer: CellLayer,
    weights: tuple[Weights, ...],
    sequence: Sequence,
    states: list[tuple[Tensor, ...]],
    engine: Engine,
) -> tuple[Tensor | PackedSequence, State]:
    """All layers and directions in one call, inside torch.autocast in the dtypes of torch.nn."""
    if isinstance(layer, nn.RNNBase) and weights[0].w_hh.is_cuda and is_plain(layer):
        layer._update_flat_weights()  # moves replaced parameters into cuDNN's one buffer
    p = sequence.packed
    result = choose.STACKED[engine.NAME](
        Stack(
            step=step_of(layer),
            x=sequence.x if p is None else PackedSequence(p.data, p.batch_sizes),
            states=tuple([torch.stack(s) for s in zip(*states)]),
            weights=weights,
            directions=directions(layer),
            dropout=layer.dropout,
            training=layer.training,
            lengths=None if p is not None else sequence.lengths,
        )
    )
    return result.outputs, as_state(sequence, result.states)


def is_plain(layer: nn.RNNBase) -> bool:
    """Whether every weight is a parameter of the layer, none computed by a parametrization."""
    return all(name in layer._parameters for name in layer._flat_weights_names)


def first_call(
    layer: CellLayer,
    weights: tuple[Weights, ...],
    sequence: Sequence,
    states: list[tuple[Tensor, ...]],
    products: str,
    *,
    keep_gates: bool = False,
) -> Call:
    """The call of the first layer and direction, by which the engine is chosen.

    For a packed input, x is its data (N, 1, D), which is enough to choose. Inside torch.autocast the CPU kernels
    take the dtype of the weights; on other devices torch's functions convert as for torch.nn.
    """
    w, own = weights[0].w_hh, states[0]
    x = sequence.data if sequence.packed is None else sequence.data.unsqueeze(1)
    if w.is_cpu and autocasts(w):
        x, own = x.to(w.dtype) if x.is_floating_point() else x, tuple([s.to(w.dtype) for s in own])
    return as_call(layer, weights[0], sequence, x, own, products, keep_gates=keep_gates)


def as_call(
    layer: CellLayer,
    weights: Weights,
    sequence: Sequence,
    x: Tensor,
    states: tuple[Tensor, ...],
    products: str,
    *,
    reverse: bool = False,
    keep_gates: bool = False,
) -> Call:
    """The engine call of one layer and direction."""
    return Call(
        step=step_of(layer),
        x=x,
        states=states,
        weights=weights,
        reverse=reverse,
        lengths=sequence.lengths,
        resets=sequence.resets_for(reverse),
        keep_gates=keep_gates,
        recompute=layer.recompute and not keep_gates,
        precision=products,
    )


def weights_dtype(weight: Tensor) -> AbstractContextManager[object]:
    """Inside torch.autocast, a context without it: a recurrence keeps the dtype of its weights, because rounding errors
    add up over the steps."""
    return torch.autocast(weight.device.type, enabled=False) if autocasts(weight) else nullcontext()


def directions(layer: CellLayer) -> int:
    return 2 if layer.bidirectional else 1


def suffixes(layer: CellLayer) -> tuple[str, ...]:
    """The suffixes of parameter names, "l0", "l0_reverse", "l1" and so on, in the order of the states."""
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    return tuple([f"l{k}{end}" for k in range(layer.num_layers) for end in ends])


def read_weights(layer: CellLayer) -> tuple[Weights, ...]:
    """The parameters of every layer and direction. Each is read once, so a parametrization is evaluated once a call."""
    return tuple(
        [
            Weights(
                read(layer, f"weight_ih_{suffix}"),
                read(layer, f"weight_hh_{suffix}"),
                read(layer, f"bias_ih_{suffix}") if layer.bias else None,
                read(layer, f"bias_hh_{suffix}") if layer.bias else None,
                read(layer, f"vector_{suffix}") if layer.cell.vectors else None,
                read(layer, f"weight_hr_{suffix}") if layer.proj_size else None,
            )
            for suffix in suffixes(layer)
        ]
    )


def read(layer: CellLayer, name: str) -> Tensor:
    """The attribute `name`; a parameter is read without the slow nn.Module.__getattr__."""
    parameter = layer._parameters.get(name)
    return getattr(layer, name) if parameter is None else parameter
