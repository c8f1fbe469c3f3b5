"""Traces: every state and gate that a layer computed, by name, and the gradient of a loss with respect to each."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from tidegate.engines.cotangents import Loss, cotangents
from tidegate.errors import ArgumentError, ArgumentTypeError
from tidegate.nn.layer import CellLayer
from tidegate.nn.sequence import Lengths, Sequence, as_sequence
from tidegate.nn.stack import Record, read_weights, run_stack, suffixes
from tidegate.nn.state import State
from tidegate.notebook import output, table


class Trace(Mapping[str, Tensor]):
    """The result of `tidegate.trace`: `outputs` and `state` as the layer returns them, and every state and gate.

    `trace["z_l0"]` is the gate z of layer 0, `trace["c_l1_reverse"]` the state c of layer 1 in the reverse direction:
    the cell's names with the suffixes of the parameters, (T, B, H) each, for any layout of the input. After the
    end of a sequence its gates are zero and its states do not change.
    """

    def __init__(
        self, layer: CellLayer, sequence: Sequence, y: Tensor | PackedSequence, state: State, record: Record
    ) -> None:
        self.outputs: Any = sequence.restore(y.clone() if isinstance(y, Tensor) else y)
        self.state: Any = state
        self._sequence, self._record = sequence, dict(zip(suffixes(layer), record))
        self._arrays = self._named({suffix: r.sequences | r.gates for suffix, (_, r) in self._record.items()})

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._arrays:
            raise ArgumentError(f"the name of a traced array must be one of {', '.join(self._arrays)}, got {name!r}.")
        return self._arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def get(self, name: str, default: Any = None) -> Any:
        return self._arrays.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return "\n".join(f"{name:<16} {tuple(array.shape)}" for name, array in self._arrays.items())

    def _repr_html_(self) -> str:
        rows = [(name, " × ".join(map(str, array.shape)), *extent(array)) for name, array in self._arrays.items()]
        head = ("array", "shape (T × B × H)", "smallest", "mean", "largest")
        return output(table(head, rows, caption="Every state and gate, by name"))

    def gradients(self, loss: Tensor) -> dict[str, Tensor]:
        """The gradient of the loss with respect to every array, by name: the total derivative, through later steps and
        the layers above.

        `loss` is a tensor of one element, computed from `outputs`, `state` or the arrays of this trace. torch's
        autograd gives the gradient with respect to the outputs of each layer; one backward pass through time with the
        derived adjoint then gives the gradient at every step.
        """
        if loss.numel() != 1 or not loss.requires_grad:
            raise ArgumentError(
                f"`loss` must be a tensor of one element that depends on the layer through torch's graph, got shape "
                f"{tuple(loss.shape)} with requires_grad={loss.requires_grad}. Use loss.sum(), with "
                "parameters or an input that require a gradient."
            )
        states = self.state if isinstance(self.state, tuple) else (self.state,)
        results = [r for _, r in self._record.values()]
        wanted = [*states]
        for r in results:
            wanted += [r.outputs, *r.sequences.values(), *r.gates.values()]
        found = iter(torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True, materialize_grads=True))
        d_states = [next(found) for _ in states]
        d_states = [self._sequence.sort(d) if self._sequence.batched else d.unsqueeze(1) for d in d_states]
        by_suffix: dict[str, Mapping[str, Tensor]] = {}
        for i, (suffix, (call, r)) in enumerate(self._record.items()):
            direct = Loss(
                outputs=next(found),
                finals={s: d[i] for s, d in zip(r.sequences, d_states)},
                sequences={s: next(found) for s in r.sequences},
                gates={g: next(found) for g in r.gates},
            )
            by_suffix[suffix] = cotangents(call, r, direct)
        return self._named(by_suffix)

    def _named(self, by_suffix: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The arrays by full name, in the order of the caller's batch."""
        return {
            f"{name}_{suffix}": self._sequence.unsort(array)
            for suffix, arrays in by_suffix.items()
            for name, array in arrays.items()
        }


def extent(array: Tensor) -> tuple[float | str, ...]:
    """The smallest value, the mean and the largest value; "-" for an array without elements."""
    if array.numel() == 0:
        return "-", "-", "-"
    values = array.detach().double()
    return values.min().item(), values.mean().item(), values.max().item()


def trace(
    layer: CellLayer,
    input: Tensor | PackedSequence,
    hx: State | None = None,
    *,
    lengths: Lengths | None = None,
    resets: Tensor | None = None,
) -> Trace:
    """Run `layer(input, hx, ...)` and record every state and gate.

    An engine that returns gates runs the layer. If the layer alone runs on the same engine, outputs and state have the
    same bits, otherwise they are equal up to rounding. Not supported inside torch.compile.
    """
    if not isinstance(layer, CellLayer):
        raise ArgumentTypeError(
            f"`layer` must be a layer of Tidegate, got {type(layer).__name__}. "
            "Use tidegate.convert.from_torch(layer) for one of torch.nn."
        )
    weights = read_weights(layer)
    sequence = as_sequence(layer, weights[0].w_ih, input, lengths, resets)
    record: Record = []
    y, state = run_stack(layer, weights, sequence, hx, record=record)
    assert isinstance(y, Tensor)  # packed outputs come from engines that record no gates
    return Trace(layer, sequence, y, state, record)
