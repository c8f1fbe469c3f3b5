"""Weights packed for the kernels of `tidegate.stream`: copies, in memory of their own, that are not changed again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tidegate.calculus import Step
from tidegate.engines.call import Call, Weights
from tidegate.engines.cpu import launch
from tidegate.engines.cpu.launch_plan import forward_launch, matrix_inputs
from tidegate.engines.cpu.prepared import Prepared
from tidegate.engines.cpu.stream_abi import WIDEST
from tidegate.engines.cpu.workspace import ALIGNMENT, Memory


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy in memory that begins at a cache line, with readable bytes of one vector after it."""
    memory = Memory(array.nbytes + ALIGNMENT).array[: array.nbytes].view(array.dtype).reshape(array.shape)
    memory[...] = array
    return memory


def by_groups(weights: np.ndarray, gates: int, lanes: int) -> np.ndarray:
    """(U * gates, K, L) from (gates * H, K): vectors of L units, of all gates of a group one after the other; zeros
    beyond H."""
    K, H = weights.shape[1], len(weights) // gates
    groups = -(-H // lanes)
    padded = np.zeros((gates, groups * lanes, K), weights.dtype)
    padded[:, :H] = weights.reshape(gates, H, K)
    ordered = padded.reshape(gates, groups, lanes, K).transpose(1, 0, 3, 2)
    return ordered.reshape(groups * gates, K, lanes)


def tiled(vectors: np.ndarray) -> np.ndarray:
    """(C, K, L) in the tiles of `stream_product`, flat."""
    tiles = max(1, -(-len(vectors) // WIDEST))
    return np.concatenate([part.transpose(1, 0, 2).ravel() for part in _parts(vectors, tiles)])


def _parts(vectors: np.ndarray, tiles: int) -> list[np.ndarray]:
    """The vectors of each tile, as the kernel divides them."""
    edges = [len(vectors) * j // tiles for j in range(tiles + 1)]
    return [vectors[first:last] for first, last in pairwise(edges)]


def by_groups_or_zeros(bias: np.ndarray | None, gates: int, H: int, lanes: int, dtype: np.dtype) -> np.ndarray:
    """(U * gates, L) from the biases (gates * H,); zeros where there are none."""
    given = np.zeros(gates * H, dtype) if bias is None else bias
    return by_groups(given[:, None], gates, lanes)[:, 0]


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
    """A recurrent layer: its packed weights by the names of the kernel's arguments; `bias`: it has input biases;
    `panels`: its input weights for the matrix unit, where the forward kernel of the layer uses that."""

    step: Step
    D: int
    H: int
    bias: bool
    arrays: dict[str, np.ndarray]
    panels: Panels | None

    @classmethod
    def of(cls, step: Step, weights: Weights, lanes: int) -> PackedLayer:
        w_ih, w_hh, b_ih, b_hh, vectors, _ = [
            None if t is None else t.detach().resolve_neg().contiguous().numpy() for t in weights.tensors()
        ]
        assert w_ih is not None
        assert w_hh is not None
        Ga, D, H = len(step.inputs), w_ih.shape[1], len(w_ih) // len(step.inputs)
        arrays = {
            "tiles_w": tiled(by_groups(w_ih, Ga, lanes)),
            "packed_b": by_groups_or_zeros(b_ih, Ga, H, lanes, w_ih.dtype),
        }
        stages = [[step.products.index(gate) for gate in stage.gates] for stage in step.stages]
        u, c = [], []
        for rows in stages:
            matrix = np.concatenate([w_hh[row * H : row * H + H] for row in rows])
            bias = None if b_hh is None else np.concatenate([b_hh[row * H : row * H + H] for row in rows])
            u.append(tiled(by_groups(matrix, len(rows), lanes)))
            c.append(by_groups_or_zeros(bias, len(rows), H, lanes, w_hh.dtype).ravel())
        nothing = [np.zeros(0, w_hh.dtype)]
        arrays |= {"packed_u": np.concatenate(u + nothing), "packed_c": np.concatenate(c + nothing)}
        if vectors is not None:
            arrays["v"] = vectors
        packed = {name: aligned(array) for name, array in arrays.items()}
        return cls(step, D, H, b_ih is not None, packed, Panels.of(step, weights))


@dataclass(frozen=True, eq=False)
class PackedLinear:
    """A linear layer: packed_w in tiles, packed_b (C, L)."""

    D: int
    outputs: int
    arrays: dict[str, np.ndarray]

    @classmethod
    def of(cls, weight: np.ndarray, bias: np.ndarray | None, lanes: int) -> PackedLinear:
        vectors = by_groups(weight, 1, lanes)
        added = by_groups_or_zeros(bias, 1, len(weight), lanes, weight.dtype)
        arrays = {"packed_w": aligned(tiled(vectors)), "packed_b": aligned(added)}
        return cls(weight.shape[1], len(weight), arrays)
