"""A short route for repeated calls: the checks of the general route in one call, the same kernels.

A module takes the general route until the form of its calls is known: class, dtype, sizes and strides of every tensor,
and the modes of torch, where the CPU kernels run the call. Later calls only check that their form is known, and look up
the addresses of their tensors. All other calls take the general route.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache as once
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tidegate.engines import choose, cpu
from tidegate.engines.torch_private import (
    compiler_callback,
    float32_products,
    in_dispatch_mode,
    in_forward_mode,
    in_saved_tensor_hooks,
)
from tidegate.nn.equations import Equations
from tidegate.nn.forms import Calls
from tidegate.nn.sequence_form import SequenceForm
from tidegate.nn.step_form import StepForm, StepPass

if TYPE_CHECKING:
    from tidegate.nn.cells import CellModule
    from tidegate.nn.layer import CellLayer

PLAIN = (Tensor, nn.Parameter)
#: Forms that are kept for one key, and keys. Calls of more forms take the general route; a new key replaces the oldest.
FORMS, KEYS = 8, 256
Form = StepForm | StepPass | SequenceForm

#: A key that all calls of a form share; x, the states that are given, and the weights layer by layer.
Given = tuple[tuple, Tensor, tuple[Tensor, ...], list[Tensor]]


class Known:
    """The forms that are known, by key."""

    def __init__(self) -> None:
        self.forms: dict[tuple, list[Form]] = {}
        #: Keys of sequences that were called once: sequences of many lengths are rarely called again.
        self.seen: dict[tuple, None] = {}

    def run(self, given: Given | None) -> Any:
        """What the module returns, if the form of the call is known; else None."""
        if given is not None:
            key, x, states, weights = given
            for form in self.forms.get(key, ()):
                tensors = (x, *states, *weights)
                if form.same(*tensors):
                    return form.run(tensors)
        return None

    def add(self, given: Given | None, calls: Callable[[], Calls], engine: str) -> None:
        """Keep the form of a call that the general route has run, if the short route can run such calls."""
        if given is None:
            return
        key, x, states, weights = given
        tensors = [x, *states, *weights]
        if len({id(t) for t in tensors}) < len(tensors):  # no form accepts a tensor twice (`same_form`)
            return
        if any(t is None for t in weights) or len(self.forms.get(key, ())) >= FORMS or not readable(x, states, weights):
            return
        found = calls()
        if any(choose.select(call, engine) is not cpu for call in found.calls):
            return
        kind = form_of(found, tensors)
        if kind is SequenceForm and key not in self.seen:
            entry(self.seen, key, None)
        elif kind is not None:
            entry(self.forms, key, []).append(kind(found, tensors, len(states)))


def entry(table: dict[tuple, Any], key: tuple, new: Any) -> Any:
    """table[key], which is `new` if there was none; then the oldest of KEYS entries is dropped."""
    if key not in table and len(table) >= KEYS:
        oldest, *_ = list(table)  # a copy, because another thread may add a key meanwhile
        table.pop(oldest, None)
    return table.setdefault(key, new)


def form_of(found: Calls, tensors: list[Tensor]) -> type[Form] | None:
    """The class of the form of these calls; None if there is none."""
    first = found.calls[0]
    graph = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    steps = first.T == 1 and found.directions == 1 and not found.dropout
    if first.weights.w_hh.dtype is torch.bfloat16:
        steps = False
        if not cpu.reads(cpu.resolved(first)):
            return None
    if steps and not graph:
        return StepForm
    if steps and len(found.calls) == 1 and not first.indexed:
        return StepPass
    return None if found.sizes.outputs is None else SequenceForm


known = Known()


def of_cell(cell: CellModule, x: Any, hx: Any) -> Given | None:
    """The call `cell(x, hx)`; None if it cannot take the short route."""
    if not possible(x, cell.engine) or (states := states_of(hx)) is None:
        return None
    parameters, bias = cell._parameters, True
    if parameters.get("bias_ih") is None:
        bias = False
        if cell.bias or "bias_ih" in vars(cell) or "bias_hh" in vars(cell) or parameters.get("bias_hh") is not None:
            return None
    equations = cell.cell
    weights: list[Any] = [parameters.get(name) for name in names(equations, 0, bias)]
    kind = (equations, cell.engine, cell.hidden_size, bias)
    return (*kind, *surroundings(), len(states), x.shape), x, states, weights


def of_layer(layer: CellLayer, x: Any, hx: Any) -> Given | None:
    """The call `layer(x, hx)`; None if it cannot take the short route."""
    if not possible(x, layer.engine) or layer.proj_size or layer.recompute or (states := states_of(hx)) is None:
        return None
    parameters, equations, L, both = layer._parameters, layer.cell, layer.num_layers, layer.bidirectional
    weights: list[Any] = [parameters.get(name) for name in names(equations, L, layer.bias, both)]
    kind = (equations, layer.engine, layer.hidden_size, L, both, layer.batch_first, layer.bias)
    return (*kind, dropout_of(layer), *surroundings(), len(states), x.shape), x, states, weights


def states_of(hx: Any) -> tuple[Any, ...] | None:
    """The states that are given as `hx`; None for a sequence of fewer than two, which the general route reports."""
    if hx is None:
        return ()
    if not isinstance(hx, (tuple, list)):
        return (hx,)
    return tuple(hx) if len(hx) > 1 else None


def dropout_of(layer: CellLayer) -> float:
    """The probability of dropout between the layers in a call at present."""
    return layer.dropout if layer.training and layer.num_layers > 1 else 0.0


def possible(x: Any, engine: str) -> bool:
    """Whether torch and the module are in a state in which a call can take the short route.
    The remaining conditions are part of the form of the call. Where hooks receive saved tensors, all calls take the
    general route: a checkpoint expects that the same call saves the same tensors each time."""
    return (
        not torch.compiler.is_compiling()
        and type(x) in PLAIN
        and engine in ("auto", cpu.NAME)
        and not in_dispatch_mode()
        and not in_forward_mode()
        and not in_saved_tensor_hooks()
        and compiler_callback() is None
    )


def surroundings() -> tuple[int, bool, str]:
    """What a form depends on besides its module and its tensors."""
    return torch.get_num_threads(), torch.is_grad_enabled(), float32_products()


@once
def names(cell: Equations, layers: int, bias: bool, both: bool = False) -> tuple[str, ...]:
    """The parameters of a module, layer by layer, with `both` directions of each; those of a cell as a module for
    `layers` = 0."""
    kinds = (
        "weight_ih",
        "weight_hh",
        *(("bias_ih", "bias_hh") if bias else ()),
        *(("vector",) if cell.vectors else ()),
    )
    ends = ("", "_reverse") if both else ("",)
    of = [f"_l{k}{end}" for k in range(layers) for end in ends] or [""]
    return tuple(kind + ending for ending in of for kind in kinds)


def readable(x: Tensor, states: tuple[Tensor, ...], weights: list[Tensor]) -> bool:
    """Whether the kernels can read these tensors as they lie in memory."""
    tensors, numbers = [x, *states, *weights], x.is_floating_point()
    if weights[0].dtype not in (torch.float32, torch.float64, torch.bfloat16) or torch.is_autocast_enabled("cpu"):
        return False
    if any(t.layout is not torch.strided or t.is_neg() or not t.numel() for t in tensors) or x.dtype is torch.int32:
        return False
    adjacent = all(t.stride(-1) == 1 or t.shape[-1] == 1 for t in ([x, *states] if numbers else states))
    return adjacent and all(t.is_contiguous() for t in ([] if numbers else [x]) + weights)
