"""The programs that a stream runs: on the CPU kernels, or on any other engine, one call for each layer and step."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tidegate.engines import choose, cpu
from tidegate.errors import ArgumentError, EngineError
from tidegate.nn.stream_parts import LayerPart, Part, dtype_of


class Program(Protocol):
    """`run()` makes one step: it reads `x` (B, D), or `index` (B,) of int64 after `use_indices(True)`, writes `y`
    (B, outputs) and updates `states`, a tuple of (B, columns) for each recurrent layer. All are NumPy arrays that stay
    the same objects."""

    x: np.ndarray
    index: np.ndarray
    y: np.ndarray
    states: list[tuple[np.ndarray, ...]]

    def run(self) -> None: ...

    def use_indices(self, indices: bool) -> None: ...

    def fork(self) -> Program:
        """Another program with the same weights, and zeros as states."""
        ...


#: The form of weights that are stored as they are, and the forms of `engines.cpu.stream_stored` in fewer bytes.
REAL, SMALLER = "real", ("bfloat16", "int8")


def stored_as(parts: tuple[Part, ...], engine: str, dtype: str | None) -> str:
    """The form in which weights are stored for a `dtype`; ArgumentError or EngineError if that is impossible."""
    own = str(dtype_of(parts)).removeprefix("torch.")
    if dtype is None or dtype == own:
        return REAL
    if dtype not in SMALLER or own != "float32":
        names = ", ".join((own, *SMALLER)) if own == "float32" else f"{own}, that of the weights"
        raise ArgumentError(f"`dtype` must be one of {names}, got {dtype!r}. Leave it out for {own}.")
    if engine != cpu.NAME:
        raise EngineError(f'`dtype` {dtype} needs the engine "cpu", and these layers run on {engine!r}. Leave it out.')
    if dtype == "int8" and not all(t.isfinite().all() for part in parts for t in weights_of(part)):
        raise ArgumentError("`model` must have finite weights to store them as int8, got NaN or infinity. Check them.")
    return dtype


def weights_of(part: Part) -> tuple[Tensor, ...]:
    """The weights of products."""
    return (part.weights.w_ih, part.weights.w_hh) if isinstance(part, LayerPart) else (part.weight,)


def make_program(parts: tuple[Part, ...], engine: str, batch: int, stored: str) -> Program:
    """The program of the parts on the engine that `engine_of` found, with weights in the form `stored` of
    `engines.cpu.stream_stored`."""
    if engine != cpu.NAME:
        return EngineProgram(parts, engine, batch)
    from tidegate.engines.cpu import kernels, stream
    from tidegate.engines.cpu.launch_plan import REAL
    from tidegate.engines.cpu.stream_packed import PackedLayer, PackedLinear

    dtype = dtype_of(parts)
    lanes = kernels.here().lanes(REAL[dtype])
    packed = [
        PackedLayer.of(part.step, part.weights, lanes, stored)
        if isinstance(part, LayerPart)
        else PackedLinear.of(part.weight.numpy(), None if part.bias is None else part.bias.numpy(), lanes, stored)
        for part in parts
    ]
    return stream.Program(packed, batch, dtype)


class EngineProgram:
    """The step as torch operations and engine calls."""

    def __init__(self, parts: tuple[Part, ...], engine: str, batch: int):
        self.parts, self._engine, self._batch, self._indices = parts, engine, batch, False
        number = torch.empty(0, dtype=dtype_of(parts)).numpy().dtype
        self.x = np.zeros((batch, parts[0].sizes[0]), number)
        self.index = np.zeros(batch, np.int64)
        self.y = np.zeros((batch, parts[-1].sizes[1]), number)
        layers = [part for part in parts if isinstance(part, LayerPart)]
        self.states = [tuple([np.zeros(shape, number) for shape in part.state_shapes(batch)]) for part in layers]

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)
    def run(self) -> None:
        x = torch.from_numpy(self.index if self._indices else self.x)
        states = iter(self.states)
        for part in self.parts:
            if isinstance(part, LayerPart):
                own = next(states)
                result = choose.dispatch(part.call(x, tuple(map(torch.from_numpy, own))), self._engine)
                for s, new in zip(own, result.states):
                    s[...] = new.numpy()
                x = result.outputs[0]
            else:
                x = F.linear(x, part.weight, part.bias)
        self.y[...] = x.numpy()

    def use_indices(self, indices: bool) -> None:
        self._indices = indices

    def fork(self) -> EngineProgram:
        return EngineProgram(self.parts, self._engine, self._batch)
