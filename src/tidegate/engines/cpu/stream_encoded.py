"""Weights in the order and the form in which the kernels of `tidegate.stream` read them, as NumPy arrays.

`stored` is a form of `stream_stored`: "real", "bfloat16" or "int8".
"""

from itertools import pairwise

import numpy as np
import torch

from tidegate.engines.cpu.stream_abi import WIDEST


def product_arrays(weights: np.ndarray, gates: int, lanes: int, stored: str) -> tuple[np.ndarray, np.ndarray]:
    """(tiles, scales (U * gates, L)) of weights (gates * H, K)."""
    vectors = by_groups(weights, gates, lanes)
    scale = scales(vectors, stored)
    return tiled(vectors / scale[:, None], stored), scale


def by_groups(weights: np.ndarray, gates: int, lanes: int) -> np.ndarray:
    """(U * gates, K, L) from (gates * H, K): vectors of L units, of all gates of a group one after the other; zeros
    beyond H."""
    K, H = weights.shape[1], len(weights) // gates
    groups = -(-H // lanes)
    padded = np.zeros((gates, groups * lanes, K), weights.dtype)
    padded[:, :H] = weights.reshape(gates, H, K)
    ordered = padded.reshape(gates, groups, lanes, K).transpose(1, 0, 3, 2)
    return ordered.reshape(groups * gates, K, lanes)


def tiled(vectors: np.ndarray, stored: str) -> np.ndarray:
    """(C, K, L) in the tiles of `stream_product`, flat, of any number type."""
    tiles = max(1, -(-len(vectors) // WIDEST))
    return np.concatenate([encode(part, stored).swapaxes(0, 1).ravel() for part in _parts(vectors, tiles)])


def encode(vectors: np.ndarray, stored: str) -> np.ndarray:
    """(C, groups of k, numbers of a group) from (C, K, L), in the form that `stream_stored` reads; int8 weights are
    divided by their scales already."""
    if stored == "real":
        return vectors
    C, K, L = vectors.shape
    pairs = np.zeros((C, (K + 1) // 2 * 2, L), np.int8 if stored == "int8" else np.int16)
    pairs[:, :K] = (
        np.rint(vectors) if stored == "int8" else torch.from_numpy(vectors).bfloat16().view(torch.int16).numpy()
    )
    # In memory the lanes of two values of k alternate: bytes of a pair, or the halves of a little-endian word.
    return pairs.reshape(C, -1, 2, L).swapaxes(2, 3).reshape(C, -1, 2 * L)


def scales(vectors: np.ndarray, stored: str) -> np.ndarray:
    """(C, L): the scale of every unit, so that its largest weight is stored as 127; ones in a form without scales."""
    if stored != "int8":
        return np.ones(vectors.shape[::2], vectors.dtype)
    largest = np.abs(vectors).max(1)
    return np.where(largest > 0, largest / 127, 1).astype(vectors.dtype)


def _parts(vectors: np.ndarray, tiles: int) -> list[np.ndarray]:
    """The vectors of each tile, as the kernel divides them."""
    edges = [len(vectors) * j // tiles for j in range(tiles + 1)]
    return [vectors[first:last] for first, last in pairwise(edges)]


def bias_by_groups(bias: np.ndarray | None, gates: int, H: int, lanes: int, dtype: np.dtype) -> np.ndarray:
    """(U * gates, L) from the biases (gates * H,); zeros where there are none."""
    given = np.zeros(gates * H, dtype) if bias is None else bias
    return by_groups(given[:, None], gates, lanes)[:, 0]
