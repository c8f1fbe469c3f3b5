"""Two bidirectional layers over sequences of different lengths: `lengths=` against torch.nn with a PackedSequence."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tidegate
from benchmarks.pairs import Pair, alternate

FULL = [(B, H, T) for B in (8, 32, 128) for H in (64, 256) for T in (35, 128)]
SHORT = [(32, 64, 35), (32, 256, 35), (32, 128, 128)]


def ragged(kind: str, B: int, H: int, T: int, seconds: float) -> Pair:
    options = {"num_layers": 2, "bidirectional": True}
    theirs = getattr(nn, kind)(H, H, **options)
    ours = getattr(tidegate, kind)(H, H, **options)
    ours.load_state_dict(theirs.state_dict())
    x, dy = torch.randn(T, B, H), torch.randn(T, B, 2 * H)
    lengths = torch.randint(T // 4, T + 1, (B,))
    lengths[0] = T

    def with_lengths() -> torch.Tensor:
        return ours(x.detach().requires_grad_(), lengths=lengths)[0]

    def packed() -> torch.Tensor:
        sequence = pack_padded_sequence(x.detach().requires_grad_(), lengths, enforce_sorted=False)
        return pad_packed_sequence(theirs(sequence)[0])[0]

    def train(module: nn.Module, forward) -> list[torch.Tensor]:
        module.zero_grad(set_to_none=True)
        y = forward()
        y.backward(dy)
        return [y.detach(), *(p.grad for p in module.parameters() if p.grad is not None)]

    for a, b in zip(train(ours, with_lengths), train(theirs, packed), strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm(), f"{kind} {B, H, T} differs from torch.nn"
    name = f"{kind} 2 layers, 2 directions, B {B} H {H} T {T}"
    return alternate(name, lambda: train(ours, with_lengths), lambda: train(theirs, packed), seconds)


def run(*, grid: str) -> list[Pair]:
    found = []
    for kind in ("GRU", "LSTM"):
        for B, H, T in FULL if grid == "full" else SHORT:
            found.append(ragged(kind, B, H, T, seconds=3.0 if grid == "full" else 1.0))
            print(found[-1], flush=True)
    print()
    return found
