"""The way of a call through a stack: every layer and direction, one engine call each.

CellLayer.forward -> run_stack -> run_direction -> engines.choose.dispatch
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tidegate.engines import Call, Result, Weights, choose, operator
from tidegate.nn.equations import step_of
from tidegate.nn.sequence import Sequence, autocasts
from tidegate.nn.state import State, final_state, initial_states

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
) -> tuple[Tensor, State]:
    """Outputs (T, B, H * directions) and the final state.

    With a `record`, the call of every layer and direction is appended to it, with its result, gates included.
    """
    states = initial_states(layer, weights[0], sequence, hx)
    final: list[tuple[Tensor, ...]] = []
    with weights_dtype(weights[0].w_hh):
        x = sequence.x if sequence.x.dim() == 2 else sequence.x.to(weights[0].w_hh.dtype)
        n = directions(layer)
        for k in range(layer.num_layers):
            here = [
                run_direction(layer, weights[i], sequence, x, states[i], reverse=i % n == 1, record=record)
                for i in range(k * n, k * n + n)
            ]
            x = here[0].outputs if n == 1 else torch.cat([result.outputs for result in here], -1)
            if layer.dropout and layer.training and k + 1 < layer.num_layers:
                x = sequence.drop(x, layer.dropout)
            final += [result.states for result in here]
        return x, final_state(sequence, final)


def run_direction(
    layer: CellLayer,
    weights: Weights,
    sequence: Sequence,
    x: Tensor,
    states: tuple[Tensor, ...],
    *,
    reverse: bool,
    record: Record | None,
) -> Result:
    """One layer in one direction; in a program of torch.compile or torch.export, as one operator."""
    if torch.compiler.is_compiling():
        resets = sequence.resets_for(reverse)
        return operator.record(
            layer.cell, layer.engine, reverse, layer.recompute, x, states, weights, sequence.lengths, resets
        )
    call = as_call(layer, weights, sequence, x, states, reverse=reverse, keep_gates=record is not None)
    result = choose.dispatch(call, layer.engine)
    if record is not None:
        record.append((call, result))
    return result


def as_call(
    layer: CellLayer,
    weights: Weights,
    sequence: Sequence,
    x: Tensor,
    states: tuple[Tensor, ...],
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
    )


def weights_dtype(weight: Tensor) -> AbstractContextManager[object]:
    """Inside torch.autocast, a context without it: a recurrence keeps the dtype of its weights, because rounding errors
    add up over the steps."""
    return torch.autocast(weight.device.type, enabled=False) if autocasts(weight) else nullcontext()


def directions(layer: CellLayer) -> int:
    return 2 if layer.bidirectional else 1


def suffixes(layer: CellLayer) -> tuple[str, ...]:
    """The ends of parameter names, "l0", "l0_reverse", "l1" and so on, in the order of the states."""
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
    """The attribute `name`; a parameter is found without the slow search of torch.nn.Module."""
    parameter = layer._parameters.get(name)
    return getattr(layer, name) if parameter is None else parameter
