"""Weights packed for the kernels of `tidegate.stream`: copies, in memory of their own, that are not changed again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidegate.calculus import Step
from tidegate.engines.call import Call, Weights
from tidegate.engines.cpu import launch
from tidegate.engines.cpu.launch_plan import forward_launch, matrix_inputs
from tidegate.engines.cpu.prepared import Prepared
from tidegate.engines.cpu.stream_encoded import bias_by_groups, product_arrays
from tidegate.engines.cpu.workspace import ALIGNMENT, Memory


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy in memory that begins at a cache line, with readable bytes of one vector after it."""
    memory = Memory(array.nbytes + ALIGNMENT).array[: array.nbytes].view(array.dtype).reshape(array.shape)
    memory[...] = array
    return memory


@dataclass(frozen=True, eq=False)
class Panels:
    """Weights packed for the forward kernel, and the address of packed_w in them."""

    prepared: Prepared
    address: int

    @classmethod
    def of(cls, step: Step, weights: Weights) -> Panels | None:
        w = weights.w_hh
        x = w.new_zeros(1, 1, weights.w_ih.shape[1])
        states = (w.new_zeros(1, len(weights.w_ih) // len(step.inputs)),) * len(step.state)
        shape = launch.shape_of(Call(step, x, states, weights))
        if not matrix_inputs(shape):
            return None
        prepared, packed = launch.prepare(step, weights), forward_launch(shape, save=False).packed
        return cls(prepared, prepared.memory.address + packed.offset["packed_w"])


@dataclass(frozen=True, eq=False)
class PackedLayer:
    """A recurrent layer: its packed weights by the names of the kernel's arguments, in the form `stored` of
    `stream_stored`; `bias`: it has input biases;
    `panels`: its input weights for the matrix unit, where the forward kernel of the layer uses that."""

    step: Step
    D: int
    H: int
    stored: str
    bias: bool
    arrays: dict[str, np.ndarray]
    panels: Panels | None

    @classmethod
    def of(cls, step: Step, weights: Weights, lanes: int, stored: str) -> PackedLayer:
        w_ih, w_hh, b_ih, b_hh, vectors, _ = [
            None if t is None else t.detach().resolve_neg().contiguous().numpy() for t in weights.tensors()
        ]
        assert w_ih is not None
        assert w_hh is not None
        Ga, D, H = len(step.inputs), w_ih.shape[1], len(w_ih) // len(step.inputs)
        tiles, scale = product_arrays(w_ih, Ga, lanes, stored)
        arrays = {"tiles_w": tiles, "scale_w": scale, "packed_b": bias_by_groups(b_ih, Ga, H, lanes, w_ih.dtype)}
        none = np.zeros(0, w_hh.dtype)
        products = [(none.view(np.uint8), none, none)]
        for stage in step.stages:
            rows = np.concatenate([np.arange(H) + H * step.products.index(gate) for gate in stage.gates])
            tiles, scale = product_arrays(w_hh[rows], len(stage.gates), lanes, stored)
            bias = bias_by_groups(None if b_hh is None else b_hh[rows], len(stage.gates), H, lanes, w_hh.dtype)
            products.append((tiles.view(np.uint8), scale.ravel(), bias.ravel()))
        for name, parts in zip(("packed_u", "scale_u", "packed_c"), zip(*products)):
            arrays[name] = np.concatenate(parts)
        if vectors is not None:
            arrays["v"] = vectors
        packed = {name: aligned(array) for name, array in arrays.items()}
        panels = Panels.of(step, weights) if stored == "real" else None
        return cls(step, D, H, stored, b_ih is not None, packed, panels)


@dataclass(frozen=True, eq=False)
class PackedLinear:
    """A linear layer: its packed weights by the names of the kernel's arguments."""

    D: int
    outputs: int
    stored: str
    arrays: dict[str, np.ndarray]

    @classmethod
    def of(cls, weight: np.ndarray, bias: np.ndarray | None, lanes: int, stored: str) -> PackedLinear:
        tiles, scale = product_arrays(weight, 1, lanes, stored)
        added = bias_by_groups(bias, 1, len(weight), lanes, weight.dtype)
        arrays = {"packed_w": aligned(tiles), "scale": aligned(scale), "packed_b": aligned(added)}
        return cls(weight.shape[1], len(weight), stored, arrays)
