"""Traces: everything a layer computed on its way, by name, and what a loss feels of each."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from tidegate.engines import Call, Result
from tidegate.engines.cotangents import Loss, cotangents
from tidegate.errors import ArgumentError
from tidegate.nn.layer import CellLayer
from tidegate.nn.sequence import Lengths, Sequence, as_sequence
from tidegate.nn.state import State


class Trace(Mapping[str, Tensor]):
    """What `tidegate.trace` returns: `outputs` and `state` as the layer returns them, and every state and gate.

    `trace["z_l0"]` is the gate z of layer 0, `trace["c_l1_reverse"]` the state c of layer 1 in the other direction:
    names of the cell with the endings of the parameters, (T, B, H) each, whatever the layout of the input. Beyond a
    sequence's length gates are zero and states stand still.
    """

    def __init__(
        self, layer: CellLayer, sequence: Sequence, y: Tensor, state: State, record: list[tuple[Call, Result]]
    ) -> None:
        self.outputs: Any = sequence.restore(y)
        self.state: Any = state
        self._sequence, self._record = sequence, dict(zip(layer.suffixes, record))
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

    def gradients(self, loss: Tensor) -> dict[str, Tensor]:
        """dL/d of every array by name, through all that follows from it, in later steps and in the layers above.

        `loss` is one number, computed from `outputs`, `state` or the arrays of this trace. The layer's fused backward
        brings it to each layer; one pass of the derived adjoint then gives every step's share.
        """
        if loss.numel() != 1 or not loss.requires_grad:
            raise ArgumentError(
                f"`loss` must be one number that depends on the layer through torch's graph, got shape "
                f"{tuple(loss.shape)} with requires_grad={loss.requires_grad}. Sum it, and let the layer's parameters "
                "or its input require a gradient."
            )
        whole = self.state if isinstance(self.state, tuple) else (self.state,)
        results = [r for _, r in self._record.values()]
        wanted = [*whole]
        for r in results:
            wanted += [r.outputs, *r.sequences.values(), *r.gates.values()]
        found = iter(torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True, materialize_grads=True))
        d_whole = [next(found) for _ in whole]
        d_whole = [self._sequence.sort(d) if self._sequence.batched else d.unsqueeze(1) for d in d_whole]
        by_suffix: dict[str, Mapping[str, Tensor]] = {}
        for i, (suffix, (call, r)) in enumerate(self._record.items()):
            felt = Loss(
                outputs=next(found),
                finals={s: d[i] for s, d in zip(r.sequences, d_whole)},
                sequences={s: next(found) for s in r.sequences},
                gates={g: next(found) for g in r.gates},
            )
            by_suffix[suffix] = cotangents(call, r, felt)
        return self._named(by_suffix)

    def _named(self, by_suffix: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """By the full name, in the order of the caller's batch."""
        return {
            f"{name}_{suffix}": self._sequence.unsort(array)
            for suffix, arrays in by_suffix.items()
            for name, array in arrays.items()
        }


def trace(
    layer: CellLayer,
    input: Tensor | PackedSequence,
    hx: State | None = None,
    *,
    lengths: Lengths | None = None,
    resets: Tensor | None = None,
) -> Trace:
    """Run `layer(input, hx, ...)` and keep every state and gate; outputs and state have the same bits as without.

    The engine that runs the layer writes them as it goes. In a program that torch.compile looks at, call it outside.
    """
    if not isinstance(layer, CellLayer):
        raise ArgumentError(
            f"`layer` must be a layer of Tidegate, got {type(layer).__name__}. "
            "Use tidegate.convert.from_torch(layer) for one of torch.nn."
        )
    sequence = as_sequence(layer, input, lengths, resets)
    record: list[tuple[Call, Result]] = []
    y, state = layer.run(sequence, hx, record=record)
    return Trace(layer, sequence, y, state, record)
