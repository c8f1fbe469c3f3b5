"""A short route for calls of one step: the checks of the general route in one call, the same kernel.

A module that is called step by step takes the general route until the form of its calls is known: class, dtype, sizes
and strides of every tensor, and the modes of torch, where the CPU kernels run the call. Later calls only check that
their form is known, and look up the addresses of their tensors. All other calls take the general route.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache as once
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tidegate.engines import choose, cpu
from tidegate.engines.torch_private import compiler_callback, float32_products, in_dispatch_mode, in_forward_mode
from tidegate.nn.equations import Equations
from tidegate.nn.step_form import StepForm, Steps
from tidegate.nn.step_graph import GraphForm

if TYPE_CHECKING:
    from tidegate.nn.cells import CellModule
    from tidegate.nn.layer import CellLayer

PLAIN = (Tensor, nn.Parameter)
#: Forms that are kept for one key, and keys. Calls of more forms take the general route; a new key replaces the oldest.
FORMS, KEYS = 8, 256


#: A key that all calls of a form share; x, the states that are given, and the weights layer by layer.
Given = tuple[tuple, Tensor, tuple[Tensor, ...], list[Tensor]]


class Known:
    """The forms that are known, by key."""

    def __init__(self) -> None:
        self.forms: dict[tuple, list[StepForm | GraphForm]] = {}

    def run(self, given: Given | None) -> Any:
        """What the module returns, if the form of the call is known; else None."""
        if given is not None:
            key, x, states, weights = given
            for form in self.forms.get(key, ()):
                tensors = (x, *states, *weights)
                if form.same(*tensors):
                    return form.run(tensors)
        return None

    def add(self, given: Given | None, steps: Callable[[], Steps], engine: str) -> None:
        """Keep the form of a call that the general route has run, if the short route can run such calls."""
        if given is None:
            return
        key, x, states, weights = given
        tensors = [x, *states, *weights]
        if any(t is None for t in weights) or len(self.forms.get(key, ())) >= FORMS or not readable(x, states, weights):
            return
        found = steps()
        if any(choose.select(call, engine) is not cpu for call in found.calls):
            return
        graph = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        if graph and (len(found.calls) > 1 or found.calls[0].indexed):
            return
        if key not in self.forms and len(self.forms) >= KEYS:
            self.forms.pop(next(iter(self.forms)), None)
        self.forms.setdefault(key, []).append((GraphForm if graph else StepForm)(found, tensors, len(states)))


known = Known()


def of_cell(cell: CellModule, x: Any, hx: Any) -> Given | None:
    """The call `cell(x, hx)`; None if it cannot take the short route."""
    if not possible(x, cell.engine):
        return None
    parameters, bias = cell._parameters, True
    if parameters.get("bias_ih") is None:
        bias = False
        if cell.bias or "bias_ih" in vars(cell) or "bias_hh" in vars(cell) or parameters.get("bias_hh") is not None:
            return None
    equations = cell.cell
    weights: list[Any] = [parameters.get(name) for name in names(equations, 0, bias)]
    states = () if hx is None else tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
    kind = (equations, cell.engine, cell.hidden_size, bias)
    return (*kind, *surroundings(), len(states), x.shape), x, states, weights


def of_layer(layer: CellLayer, x: Any, hx: Any) -> Given | None:
    """The call `layer(x, hx)`; None if it has several steps or cannot take the short route."""
    if not possible(x, layer.engine):
        return None
    sizes, dims = x.shape, x.dim() - x.is_floating_point()
    if dims not in (1, 2) or sizes[1 if layer.batch_first and dims == 2 else 0] != 1:
        return None
    if layer.bidirectional or layer.proj_size or (layer.dropout and layer.training):
        return None
    parameters, equations, L = layer._parameters, layer.cell, layer.num_layers
    weights: list[Any] = [parameters.get(name) for name in names(equations, L, layer.bias)]
    states = () if hx is None else tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
    kind = (equations, layer.engine, layer.hidden_size, L, layer.batch_first, layer.bias)
    return (*kind, *surroundings(), len(states), sizes), x, states, weights


def possible(x: Any, engine: str) -> bool:
    """Whether torch and the module are in a state in which a call can take the short route.
    The remaining conditions are part of the form of the call."""
    return (
        not torch.compiler.is_compiling()
        and type(x) in PLAIN
        and engine in ("auto", cpu.NAME)
        and not in_dispatch_mode()
        and not in_forward_mode()
        and compiler_callback() is None
    )


def surroundings() -> tuple[int, bool, str]:
    """What a form depends on besides its module and its tensors."""
    return torch.get_num_threads(), torch.is_grad_enabled(), float32_products()


@once
def names(cell: Equations, layers: int, bias: bool) -> tuple[str, ...]:
    """The parameters of a module, layer by layer; those of a cell as a module for `layers` = 0."""
    kinds = (
        "weight_ih",
        "weight_hh",
        *(("bias_ih", "bias_hh") if bias else ()),
        *(("vector",) if cell.vectors else ()),
    )
    return tuple(kind + ending for ending in ([f"_l{k}" for k in range(layers)] or [""]) for kind in kinds)


def readable(x: Tensor, states: tuple[Tensor, ...], weights: list[Tensor]) -> bool:
    """Whether the kernels can read these tensors as they lie in memory."""
    tensors, numbers = [x, *states, *weights], x.is_floating_point()
    if weights[0].dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled("cpu"):
        return False
    if any(t.layout is not torch.strided or t.is_neg() or not t.numel() for t in tensors) or x.dtype is torch.int32:
        return False
    adjacent = all(t.stride(-1) == 1 or t.shape[-1] == 1 for t in ([x, *states] if numbers else states))
    return adjacent and all(t.is_contiguous() for t in ([] if numbers else [x]) + weights)
