"""The parts of a streamed model, in the order in which a step runs them, with copies of their weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from tidegate.calculus import Step
from tidegate.engines import Call, Weights, choose, cpu
from tidegate.errors import ArgumentError, ArgumentTypeError, EngineError, ShapeError
from tidegate.nn.cells import CellModule, cell_weights
from tidegate.nn.equations import step_of
from tidegate.nn.layer import CellLayer
from tidegate.nn.stack import read_weights

DTYPES = (torch.float32, torch.float64)
#: Modules that compute nothing in evaluation mode.
IDENTITIES = (nn.Dropout, nn.Identity)


@dataclass(frozen=True, eq=False)
class LayerPart:
    """One recurrent layer. `module` is the number of its module among the recurrent modules of the model, and `single`
    is true where that module is a cell, whose state has no dimension of layers."""

    step: Step
    weights: Weights
    engine: str
    module: int
    single: bool

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs."""
        w = self.weights
        H = len(w.w_ih) // len(self.step.inputs)
        return w.w_ih.shape[1], H if w.w_hr is None else len(w.w_hr)

    def call(self, x: Tensor, states: tuple[Tensor, ...]) -> Call:
        """The step of x (B, D), or (B,) of class indices, as a sequence."""
        return Call(self.step, x.unsqueeze(0), states, self.weights)

    def state_shapes(self, batch: int) -> list[tuple[int, int]]:
        H = len(self.weights.w_ih) // len(self.step.inputs)
        return [(batch, H if i else self.sizes[1]) for i in range(len(self.step.state))]


@dataclass(frozen=True, eq=False)
class LinearPart:
    """A linear layer."""

    weight: Tensor
    bias: Tensor | None

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs."""
        return self.weight.shape[1], len(self.weight)


Part = LayerPart | LinearPart


def dtype_of(parts: Sequence[Part]) -> torch.dtype:
    """The dtype of the weights, which is that of the inputs and outputs."""
    first = parts[0]
    return first.weights.w_hh.dtype if isinstance(first, LayerPart) else first.weight.dtype


def modules_of(model: Any) -> list[nn.Module]:
    """The modules of a model in the order of a step: what its method `stream_modules()` returns, the elements of an
    nn.Sequential, of a list or of a tuple, or the model alone."""
    if isinstance(model, (CellLayer, CellModule)):
        return [model]
    listed = model.stream_modules() if hasattr(model, "stream_modules") else model
    if isinstance(listed, Iterable):
        return [module for element in listed for module in modules_of(element)]
    if isinstance(model, IDENTITIES):
        return []
    if isinstance(model, nn.Linear):
        return [model]
    raise ArgumentTypeError(
        f"`model` must be a layer or a cell of tidegate, a tidegate.LanguageModel, or a list or nn.Sequential of those "
        f"and nn.Linear, got {type(model).__name__}. tidegate.convert.replace_layers(model) replaces torch.nn's layers."
    )


def parts_of(model: Any) -> tuple[Part, ...]:
    """The parts of a model, their weights copied. ArgumentError, ShapeError or ArgumentTypeError for a model that
    cannot be streamed."""
    parts: list[Part] = []
    modules = modules_of(model)
    recurrent = [module for module in modules if isinstance(module, (CellLayer, CellModule))]
    for module in modules:
        if isinstance(module, nn.Linear):
            check_weight("Linear", module.weight)
            parts.append(LinearPart(copy(module.weight), None if module.bias is None else copy(module.bias)))
        elif isinstance(module, CellLayer):
            if module.bidirectional:
                raise ArgumentError(
                    f"`model` has a {type(module).__name__} with bidirectional=True, whose reverse direction starts at "
                    "the end of a sequence, so it has no single step. Use bidirectional=False."
                )
            parts += [layer_part(module, weights, recurrent, single=False) for weights in read_weights(module)]
        elif isinstance(module, CellModule):
            parts.append(layer_part(module, cell_weights(module), recurrent, single=True))
    if not recurrent:
        raise ArgumentError("`model` must have a recurrent layer, got none. Use torch for the others alone.")
    check_chain(parts)
    return tuple(parts)


def layer_part(module: CellLayer | CellModule, weights: Weights, recurrent: list[Any], *, single: bool) -> LayerPart:
    check_weight(type(module).__name__, weights.w_hh)
    if 0 in weights.w_ih.shape:
        raise ArgumentError(
            f"`model` must have sizes of at least 1, got weights of {tuple(weights.w_ih.shape)}. Use larger sizes."
        )
    copied = Weights(*(None if t is None else copy(t) for t in weights.tensors()))  # type: ignore[arg-type]
    return LayerPart(step_of(module), copied, module.engine, recurrent.index(module), single)


def copy(weight: Tensor) -> Tensor:
    return weight.detach().resolve_neg().clone(memory_format=torch.contiguous_format)


def check_weight(name: str, weight: Tensor) -> None:
    if not weight.is_cpu:
        raise ArgumentError(
            f"`model` must have its weights on the CPU, got a {name} on {weight.device}. Use a copy of it, model.cpu()."
        )
    if weight.dtype not in DTYPES:
        raise ArgumentError(
            f"`model` must have weights of float32 or float64, got a {name} of {weight.dtype}. "
            "Use a copy of it, model.float()."
        )


def check_chain(parts: list[Part]) -> None:
    """Whether every part takes what the one before it returns."""
    dtypes = {dtype_of([part]) for part in parts}
    if len(dtypes) > 1:
        raise ArgumentError(
            f"`model` must have weights of one dtype, got {sorted(map(str, dtypes))}. Use model.float()."
        )
    for before, after in pairwise(parts):
        if before.sizes[1] != after.sizes[0]:
            raise ShapeError(
                f"`model` must have modules that fit together, got one of {before.sizes[1]} outputs before one of "
                f"{after.sizes[0]} inputs. Check their order and sizes."
            )


def engine_of(parts: tuple[Part, ...]) -> str:
    """The engine that runs all recurrent layers: the one that they name; for "auto" `cpu` if it can run all of them,
    else `eager`. EngineError if they name several engines or one that cannot run them."""
    layers = [part for part in parts if isinstance(part, LayerPart)]
    named = sorted({part.engine for part in layers} - {"auto"})
    if len(named) > 1:
        raise EngineError(f"a stream runs on one engine, and the layers of `model` name {', '.join(named)}. Name one.")
    calls = [example(part) for part in layers]
    if not named:
        return cpu.NAME if all(cpu.refuse(call) is None for call in calls) else choose.eager.NAME
    for call in calls:
        choose.select(call, named[0])
    return named[0]


def example(part: LayerPart) -> Call:
    w = part.weights.w_hh
    x = w.new_zeros(1, part.sizes[0])
    return part.call(x, tuple(w.new_zeros(shape) for shape in part.state_shapes(1)))
