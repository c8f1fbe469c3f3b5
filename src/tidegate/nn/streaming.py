"""`tidegate.stream`: a trained model one step at a time, with its state inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from tidegate.errors import ArgumentError, ArgumentTypeError
from tidegate.nn import stream_files
from tidegate.nn.arguments import as_size
from tidegate.nn.stream_input import as_array, check_range, refused
from tidegate.nn.stream_parts import LayerPart, Part, dtype_of, engine_of, parts_of
from tidegate.nn.stream_programs import REAL, Program, make_program, stored_as
from tidegate.nn.stream_states import ModelState, Modules, as_mask


def stream(model: Any, batch: int = 1, dtype: str | None = None) -> Stream:
    """A Stream of `model` with a state of zeros: `y = s.step(x)` makes one step of `batch` sessions.

    `model` is a layer or a cell of tidegate, a tidegate.LanguageModel, an nn.Sequential, list or tuple of layers, cells
    and nn.Linear, or an object whose method `stream_modules()` returns such a list. Dropout is not applied. The weights
    are copied and packed here: later changes of them do not affect the stream until `refresh()`.

    `dtype` is the type in which weights are stored: "bfloat16", rounded to 2 bytes; "int8", integers -127..127 times a
    scale for each unit; by default that of the model. Biases, states, inputs, outputs and arithmetic stay float32.

    ArgumentError for a bidirectional layer, for weights that are not float32 or float64 on the CPU, and for a `dtype`
    that the weights cannot be stored in; EngineError if the engine that a layer names cannot run it.
    """
    parts = parts_of(model)
    engine, size = engine_of(parts), as_size("batch", batch)
    stored = stored_as(parts, engine, dtype)
    return Stream(model, parts, engine, stored, make_program(parts, engine, size, stored))


class Stream:
    """A model one step at a time, and the states of `batch` sessions. Made by `tidegate.stream` and `fork`.

    The outputs of recurrent layers have the bits of the layer over a whole sequence. The product of an nn.Linear is
    rounded differently from torch's; its bits do not depend on the batch.

    `engine` is the engine that runs: "cpu", the compiled kernels, where they can run all layers; else "eager", torch
    operations; or the one that the layers name. One thread at a time may use a stream. Several threads may each use
    their own; the interpreter's lock is released while a step is computed.
    """

    __slots__ = (
        "_classes", "_dtype", "_index", "_indexed", "_model", "_parts", "_program", "_row", "_row_shape", "_run",
        "_shape", "_states", "_stored", "_x", "_y", "batch", "engine",
    )  # fmt: skip

    def __init__(self, model: Any, parts: tuple[Part, ...], engine: str, stored: str, program: Program):
        self._model, self._parts, self._stored = model, parts, stored
        self.engine, self.batch = engine, len(program.x)
        self._use(program)

    def _use(self, program: Program) -> None:
        self._program, self._indexed = program, False
        self._states = Modules([part for part in self._parts if isinstance(part, LayerPart)], program.states)
        self._run, self._x, self._index, self._y = program.run, program.x, program.index, program.y
        self._dtype, self._shape, self._row = program.x.dtype, program.x.shape, program.y[0]
        # The forms without a batch, which only a single session has.
        self._row_shape, self._classes = (self._shape[1:], self._shape[1]) if self.batch == 1 else (None, 0)

    @overload
    def step(self, x: Tensor) -> Tensor: ...
    @overload
    def step(self, x: np.ndarray | int | np.integer) -> np.ndarray: ...
    def step(self, x: Any) -> Any:
        """The outputs of the last module; the states advance by one step.

        x: (B, D) numbers of the dtype of the weights, or (B,) integers, class indices 0 <= x < D in place of one-hot
        rows, for a model that begins with a recurrent module; for one session also (D,) numbers, or one integer.
        B is `batch`, D the inputs of the first module.

        Returns (B, outputs), or (outputs,) where x has no batch, without a gradient: a tensor if x is one, else a NumPy
        array. It is a copy, so later steps do not change it.

        ShapeError, ArgumentError, ArgumentTypeError or IndicesError for any other x; the states are then unchanged.
        """
        # The usual forms first, without calls of Python functions: they would take longer than the kernel.
        if type(x) is np.ndarray and x.dtype is self._dtype and not self._indexed:
            if x.shape == self._shape:
                self._x[...] = x
                self._run()
                return self._y.copy()
            if x.shape == self._row_shape:
                self._x[...] = x
                self._run()
                return self._row.copy()
        elif type(x) is int and self._indexed and 0 <= x < self._classes:
            self._index[0] = x
            self._run()
            return self._row.copy()
        elif isinstance(x, Tensor):
            return torch.from_numpy(self.step(as_array(x)))
        return self._any_step(as_array(x))

    def _any_step(self, x: np.ndarray) -> np.ndarray:
        """A step of x in any form that is accepted; the next ones of the same kind then take the fast path."""
        indexed = x.dtype.kind in "iu"
        target = self._index if indexed else self._x
        if x.shape not in (target.shape, target.shape[1:] if self.batch == 1 else None):
            raise self._refused(x)
        if indexed:
            if not isinstance(self._parts[0], LayerPart):
                raise self._refused(x)
            check_range(x, self._parts[0].sizes[0])
        elif x.dtype != self._dtype:
            raise self._refused(x)
        self._program.use_indices(indexed)
        self._indexed = indexed
        target[...] = x
        self._run()
        return (self._y if x.shape == target.shape else self._row).copy()

    def _refused(self, x: np.ndarray) -> Exception:
        B, D = self._shape
        return refused(x, B, D, self._dtype, indices=isinstance(self._parts[0], LayerPart))

    @property
    def dtype(self) -> str:
        """The type in which the weights are stored."""
        return str(dtype_of(self._parts)).removeprefix("torch.") if self._stored == REAL else self._stored

    @property
    def state(self) -> ModelState:
        """The states of all sessions, as the module's `hx`: (layers, B, H), of a cell (B, H), a tuple for several
        states; a list of those for several recurrent modules. A copy. Assigning to it sets the states."""
        return self._states.get()

    @state.setter
    def state(self, given: ModelState) -> None:
        self._states.set(given)

    def reset(self, mask: Any = None) -> None:
        """Set the states to zeros, in all sessions, or where mask (B,), booleans of NumPy, torch or a list, is true."""
        self._states.reset(None if mask is None else as_mask(mask, self.batch))

    def fork(self) -> Stream:
        """A stream that continues from the states of this one, independently of it; the packed weights are shared."""
        other = Stream(self._model, self._parts, self.engine, self._stored, self._program.fork())
        other._states.copy_from(self._states)
        return other

    def refresh(self) -> None:
        """Copy and pack the weights of the model again; the states stay. ArgumentError if the model has other modules,
        sizes or a dtype than before."""
        parts = parts_of(self._model)
        if [signature(part) for part in parts] != [signature(part) for part in self._parts]:
            raise ArgumentError("`model` must have the modules and sizes that it had, got others. Make a new stream.")
        program, states = make_program(parts, self.engine, self.batch, self._stored), self._states
        self._parts = parts
        self._use(program)
        self._states.copy_from(states)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the states, not the weights, to a safetensors file. CheckpointError if that is impossible."""
        stream_files.write(Path(path), self._states.layers, self._states.named())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read the states that `save` wrote. CheckpointError, and unchanged states, if the file is damaged or was
        written by a stream of other equations, sizes, batch or dtype."""
        named = self._states.named()
        for name, values in stream_files.read(Path(path), self._states.layers, named).items():
            named[name][...] = values

    def __copy__(self) -> Stream:
        return self.fork()

    def __deepcopy__(self, memo: dict) -> Stream:
        return self.fork()

    def __reduce__(self) -> str:
        raise ArgumentTypeError("a Stream cannot be pickled. Save its states with save(), and pickle the model.")

    def __repr__(self) -> str:
        modules = ", ".join(map(described, self._parts))
        return f"Stream({modules}; batch={self.batch}, dtype={self.dtype!r}, engine={self.engine!r})"


def described(part: Part) -> str:
    name = part.step.name if isinstance(part, LayerPart) else "Linear"
    return f"{name}({part.sizes[0]}, {part.sizes[1]})"


def signature(part: Part) -> tuple:
    """What must not change between two packings."""
    dtype = dtype_of([part])
    if isinstance(part, LayerPart):
        return part.step, part.sizes, dtype, part.module, part.single
    return "Linear", part.sizes, dtype
