"""What every layer does with its cell: layers, directions and layouts around the engines' whole-sequence calls."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tidegate.calculus import Step, trace
from tidegate.cells import Cell
from tidegate.engines import Call, Result, Verdicts, Weights, choose
from tidegate.errors import ArgumentError, ShapeError
from tidegate.nn.state import State, final_state, initial_states


class CellLayer(nn.Module):
    """A stack of recurrent layers of one cell, with the arguments and parameter names of torch.nn.GRU.

    Shapes: x (T, B, D), or (B, T, D) with batch_first, or (T, D) unbatched; without the D, an integer x holds class
    numbers 0 <= x < D and stands for one-hot rows. Returns y (T, B, H * directions) and the final state: one tensor
    (layers * directions, B, H), or a tuple of such tensors for a cell of several states.
    """

    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    engine: str

    @property
    def cell(self) -> type[Cell]:
        """The class whose equations this layer runs."""
        raise NotImplementedError(f"{type(self).__name__} does not name its cell")

    @property
    def step(self) -> Step:
        """The traced equations of the cell."""
        return trace(self.cell)

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def parameter_suffixes(self) -> Iterator[str]:
        """The ends of parameter names, "l0", "l0_reverse", "l1" and so on, in the order of the states."""
        for k in range(self.num_layers):
            yield from (f"l{k}", f"l{k}_reverse")[: self.directions]

    def weights(self, suffix: str) -> Weights:
        """The parameters of one layer and direction, as an engine takes them."""
        optional = (getattr(self, f"{name}_{suffix}", None) for name in ("bias_ih", "bias_hh", "vector"))
        return Weights(getattr(self, f"weight_ih_{suffix}"), getattr(self, f"weight_hh_{suffix}"), *optional)

    def forward(self, input: Tensor, hx: State | None = None) -> Any:
        y, state, _ = self.run(input, hx)
        return y, state

    def run(self, x: Tensor, state: State | None, *, keep_gates: bool = False) -> tuple[Tensor, State, list[Result]]:
        """Outputs, final state, and the engines' results, one for each layer and direction."""
        check_input(self, x)
        batched = x.dim() == (2 if is_indexed(x) else 3)
        time = 1 if self.batch_first and batched else 0
        x = x.transpose(0, 1) if time else (x if batched else x.unsqueeze(1))
        states = initial_states(self, x, state, batched=batched)
        results: list[Result] = []
        for k in range(self.num_layers):
            calls = [self.call(x, states, i, keep_gates) for i in range(k * self.directions, (k + 1) * self.directions)]
            here = [choose.run(call, self.engine) for call in calls]
            x = torch.cat([r.outputs for r in here], -1) if len(here) > 1 else here[0].outputs
            if self.dropout and self.training and k + 1 < self.num_layers:
                x = F.dropout(x, self.dropout)
            results += here
        y = x.transpose(0, 1) if time else (x if batched else x.squeeze(1))
        return y, final_state(results, batched=batched), results

    def call(self, x: Tensor, states: list[tuple[Tensor, ...]], index: int, keep_gates: bool = False) -> Call:
        """What the engine is asked for the layer and direction number `index`."""
        suffix = list(self.parameter_suffixes())[index]
        return Call(
            step=self.step,
            x=x,
            states=states[index],
            weights=self.weights(suffix),
            reverse=suffix.endswith("_reverse"),
            keep_gates=keep_gates,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, engine={self.engine!r}"


def why(layer: CellLayer, x: Tensor, state: State | None = None) -> Verdicts:
    """Which engine would run `layer(x, state)` in its first layer, and why the others would not."""
    check_input(layer, x)
    x = x if x.dim() == (2 if is_indexed(x) else 3) else x.unsqueeze(1)
    x = x.transpose(0, 1) if layer.batch_first else x
    return choose.why(layer.call(x, initial_states(layer, x, state, batched=True), 0))


def is_indexed(x: Tensor) -> bool:
    return not (x.is_floating_point() or x.is_complex())


def check_input(layer: CellLayer, x: Tensor) -> None:
    name, D = type(layer).__name__, layer.input_size
    if not isinstance(x, Tensor):
        raise ArgumentError(f"{name}: `x` must be a tensor, got {type(x).__name__}.")
    order = "(B, T" if layer.batch_first else "(T, B"
    if is_indexed(x):
        if x.dim() not in (1, 2) or x.dtype not in (torch.int64, torch.int32):
            raise ShapeError(
                f"{name}: an integer `x` holds class numbers, int64 or int32 of shape {order}), "
                f"got {x.dtype} of {tuple(x.shape)}. For features use x.float()."
            )
        if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < D:
            raise ArgumentError(
                f"{name}: class numbers in `x` must be in 0..{D - 1} (input_size D = {D}), "
                f"got {int(x.min())}..{int(x.max())}."
            )
    elif x.dim() not in (2, 3) or x.shape[-1] != D:
        raise ShapeError(
            f"{name}: `x` must have shape {order}, D) or (T, D) with D = input_size = {D}, got {tuple(x.shape)}."
        )
    weight = next(layer.parameters())
    if not is_indexed(x) and x.dtype != weight.dtype:
        raise ArgumentError(
            f"{name}: `x` must be {weight.dtype} like the weights, got {x.dtype}. Use x.to({weight.dtype})."
        )
    if x.device != weight.device:
        raise ArgumentError(
            f"{name}: `x` must be on {weight.device} like the weights, got {x.device}. Use x.to(device)."
        )
