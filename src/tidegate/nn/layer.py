"""What every layer does with its cell: layers, directions and layouts around the engines' whole-sequence calls."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from tidegate.calculus import Step, trace
from tidegate.cells import Cell
from tidegate.engines import Call, Result, Verdicts, Weights, choose, operator
from tidegate.errors import ArgumentError
from tidegate.nn.gates import gate_slices
from tidegate.nn.sequence import Lengths, Sequence, as_sequence, autocasts
from tidegate.nn.state import State, final_state, initial_states


class CellLayer(nn.Module):
    """A stack of recurrent layers of one cell, with the arguments and parameter names of torch.nn.GRU.

    `layer(input, hx=None, *, lengths=None, resets=None)` returns (outputs, state).

    * input: x (T, B, D), or (B, T, D) with batch_first, or (T, D) unbatched, or a PackedSequence. An integer input
      without the D holds class numbers 0 <= x < D and stands for one-hot rows.
    * hx: the initial state, (layers * directions, B, H); a tuple of such tensors for a cell of several states. Zeros
      by default.
    * lengths: (B,) numbers in 0..T, in any order, a tensor or a list. Beyond its length a sequence's outputs are zero
      and its state stands still, so the numbers are those of a PackedSequence.
    * resets: (B, T) of torch.bool, also without batch_first. True at t: a new sequence begins there, from the state
      zero. In the other direction it ends there, so both directions see the same sequences.
    * outputs: as the input, with H * directions features; state: as hx, after the last step.

    With `recompute` training keeps the states at about sqrt(T) steps instead of every step's gates, and runs the
    stretches between them again on the way back: memory near sqrt(T) beside inputs and outputs, a second forward pass,
    the same gradients. It may be set at any time. A `tidegate.trace` keeps every step all the same.
    """

    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int
    engine: str
    recompute: bool
    weight_ih_l0: Tensor
    weight_hh_l0: Tensor

    @property
    def cell(self) -> type[Cell] | Step:
        """The class whose equations this layer runs."""
        raise NotImplementedError(f"{type(self).__name__} does not name its cell")

    @property
    def step(self) -> Step:
        """The traced equations of the cell."""
        return self.cell if isinstance(self.cell, Step) else trace(self.cell)

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Features of one direction's output: H, or the projection's."""
        return self.proj_size or self.hidden_size

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The ends of parameter names, "l0", "l0_reverse", "l1" and so on, in the order of the states."""
        return tuple(self.suffix(i) for i in range(self.num_layers * self.directions))

    def suffix(self, i: int) -> str:
        return f"l{i // self.directions}_reverse" if self.reversed(i) else f"l{i // self.directions}"

    def weights(self, suffix: str) -> Weights:
        """The parameters of one layer and direction, as an engine takes them; read now, so parametrizations hold."""
        weight = self.weight
        return Weights(
            weight(f"weight_ih_{suffix}"),
            weight(f"weight_hh_{suffix}"),
            weight(f"bias_ih_{suffix}") if self.bias else None,
            weight(f"bias_hh_{suffix}") if self.bias else None,
            weight(f"vector_{suffix}") if self.cell.vectors else None,
            weight(f"weight_hr_{suffix}") if self.proj_size else None,
        )

    def weight(self, name: str) -> Tensor:
        """The attribute `name`; a parameter is found at once, without the search of torch.nn.Module."""
        parameter = self._parameters.get(name)
        return getattr(self, name) if parameter is None else parameter

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        *,
        lengths: Lengths | None = None,
        resets: Tensor | None = None,
    ) -> Any:
        sequence = as_sequence(self, input, lengths, resets)
        y, state = self.run(sequence, hx)
        return sequence.restore(y), state

    def run(
        self, sequence: Sequence, hx: State | None = None, *, record: list[tuple[Call, Result]] | None = None
    ) -> tuple[Tensor, State]:
        """Outputs (T, B, H * directions) and the final state.

        Into `record` goes what the engine was asked and answered, gates and all, for every layer and direction.
        """
        states = initial_states(self, sequence, hx)
        weight = self.weight("weight_ih_l0")
        if autocasts(weight):
            # A recurrence keeps the dtype of its weights: rounding errors would add up over the steps.
            with torch.autocast(weight.device.type, enabled=False):
                return self.run_layers(sequence, states, record)
        return self.run_layers(sequence, states, record)

    def run_layers(
        self, sequence: Sequence, states: list[tuple[Tensor, ...]], record: list[tuple[Call, Result]] | None
    ) -> tuple[Tensor, State]:
        """As `run`, from the states of every layer and direction."""
        x, n = sequence.x, self.directions
        x = x if x.dim() == 2 else x.to(states[0][0].dtype)
        final: list[tuple[Tensor, ...]] = []
        for k in range(self.num_layers):
            here = [self.scan(sequence, x, states[i], i, record) for i in range(k * n, (k + 1) * n)]
            x = here[0].outputs if n == 1 else torch.cat([result.outputs for result in here], -1)
            if self.dropout and self.training and k + 1 < self.num_layers:
                x = sequence.drop(x, self.dropout)
            final += [result.states for result in here]
        return x, final_state(sequence, final)

    def scan(
        self,
        sequence: Sequence,
        x: Tensor,
        states: tuple[Tensor, ...],
        i: int,
        record: list[tuple[Call, Result]] | None = None,
    ) -> Result:
        """The layer and direction number `i`; while torch.compile or torch.export looks on, as one operator."""
        if torch.compiler.is_compiling():
            reverse = self.reversed(i)
            resets = sequence.resets_for(reverse)
            weights = self.weights(self.suffix(i))
            return operator.record(
                self.cell, self.engine, reverse, self.recompute, x, states, weights, sequence.lengths, resets
            )
        call = self.call(sequence, x, states, i, keep_gates=record is not None)
        result = choose.dispatch(call, self.engine)
        if record is not None:
            record.append((call, result))
        return result

    def call(
        self, sequence: Sequence, x: Tensor, states: tuple[Tensor, ...], i: int, *, keep_gates: bool = False
    ) -> Call:
        """What the engine is asked for the layer and direction number `i`."""
        reverse = self.reversed(i)
        return Call(
            step=self.step,
            x=x,
            states=states,
            weights=self.weights(self.suffix(i)),
            reverse=reverse,
            lengths=sequence.lengths,
            resets=sequence.resets_for(reverse),
            keep_gates=keep_gates,
            recompute=self.recompute and not keep_gates,
        )

    def reversed(self, i: int) -> bool:
        """Whether number `i` runs from the last step to the first."""
        return self.bidirectional and i % 2 == 1

    def gate_parameters(self, gate: str) -> dict[str, Tensor]:
        """The slices that belong to one gate, by parameter name, as views: to read, to penalise, and, under
        torch.no_grad(), to write; those of a parametrized weight are of its present value, to read only.

        ArgumentError lists the gates there are.
        """
        return gate_slices(self, self.step, [f"_{suffix}" for suffix in self.suffixes], gate)

    def flatten_parameters(self) -> None:
        """Nothing: engines read the parameters where they are. Here so that code written for torch.nn runs."""

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.running()}"

    def running(self) -> str:
        """How the layer is to be run, for its repr."""
        return f"engine={self.engine!r}" + ", recompute=True" * self.recompute


def why(
    layer: CellLayer,
    input: Tensor | PackedSequence,
    hx: State | None = None,
    *,
    lengths: Lengths | None = None,
    resets: Tensor | None = None,
) -> Verdicts:
    """Which engine would run `layer(input, hx, ...)` in its first layer, and why the others would not."""
    if not isinstance(layer, CellLayer):
        raise ArgumentError(
            f"`layer` must be a layer of tidegate, such as tidegate.GRU, got {type(layer).__name__}. "
            "tidegate.convert.replace_layers(model) puts them in the place of torch.nn's."
        )
    sequence = as_sequence(layer, input, lengths, resets)
    return choose.why(layer.call(sequence, sequence.x, initial_states(layer, sequence, hx)[0], 0))
