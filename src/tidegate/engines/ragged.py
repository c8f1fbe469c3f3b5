"""Lengths, resets and direction: which steps of a call run, in which order, and how they change the states.

A step at or beyond the length of its sequence leaves the state as it is and gives zero as output; a step with a reset
starts from the state zero. Engines of torch operations use `Walk`; kernels read `step_mask`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tidegate.engines.call import Call

#: Bits of a byte of `step_mask`: the step is inside its sequence; the state is reset before the step.
ACTIVE, RESET = 1, 2


@dataclass(frozen=True)
class Walk:
    """The steps of one call. `active` (T, B, 1) is true inside a sequence, `resets` (T, B, 1) where the state is
    reset before the step; None where every step is active or no step has a reset."""

    T: int
    reverse: bool
    active: Tensor | None
    resets: Tensor | None

    def forward(self) -> Sequence[int]:
        """The steps in the order of the forward pass."""
        return range(self.T)[::-1] if self.reverse else range(self.T)

    def backward(self) -> Sequence[int]:
        return self.forward()[::-1]

    def before(self, t: int, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The states with which step t starts: zero where it has a reset. Its transpose, the same function,
        maps the gradients with respect to these states to those with respect to `states`."""
        return states if self.resets is None else tuple(s.masked_fill(self.resets[t], 0) for s in states)

    def after(self, t: int, new: tuple[Tensor, ...], old: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The states after step t: `new` inside a sequence, `old` beyond its end."""
        if self.active is None:
            return new
        return tuple(torch.where(self.active[t], n, o) for n, o in zip(new, old))

    def inside(self, t: int, value: Tensor) -> Tensor:
        """`value` (B, n) inside a sequence, zero beyond its end."""
        return value if self.active is None else value.masked_fill(~self.active[t], 0)


def walk(call: Call) -> Walk:
    active = None if call.lengths is None else inside(call.lengths.to(call.x.device), call.T).unsqueeze(-1)
    return Walk(call.T, call.reverse, active, None if call.resets is None else call.resets.unsqueeze(-1))


def inside(lengths: Tensor, T: int) -> Tensor:
    """(T, B), true where step t lies inside the sequence."""
    return torch.arange(T, device=lengths.device).unsqueeze(1) < lengths


def step_mask(call: Call) -> Tensor:
    """(T + 2, B) bytes for the steps -1 .. T: the bits ACTIVE and RESET of each; 0 for the first and the last row,
    which kernels may read."""
    mask = torch.zeros((call.T + 2, call.B), dtype=torch.uint8, device="cpu")
    steps = mask[1:-1]
    steps += ACTIVE if call.lengths is None else inside(call.lengths.cpu(), call.T)
    if call.resets is not None:
        steps += call.resets.cpu().to(torch.bool) * steps * RESET
    return mask
