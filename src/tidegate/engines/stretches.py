"""A long sequence in about sqrt(T) stretches of steps, for training with `recompute`.

Keeping the states between stretches, and running each stretch again in the backward pass, needs memory for about
2 sqrt(T) steps instead of T, and one more forward pass (Chen et al., arXiv:1604.06174).
"""

from dataclasses import replace

from torch import Tensor

from tidegate.engines.call import Call


def stretches(call: Call) -> list[slice]:
    """Slices of about sqrt(T) steps, in the order in which they run."""
    size = max(1, round(call.T**0.5))
    found = [slice(t, min(t + size, call.T)) for t in range(0, call.T, size)]
    return found[::-1] if call.reverse else found


def stretch_of(call: Call, steps: slice, states: tuple[Tensor, ...]) -> Call:
    """The call on some of its steps, from the states before them."""
    return replace(
        call,
        x=call.x[steps],
        states=states,
        lengths=None if call.lengths is None else (call.lengths - steps.start).clamp(0, steps.stop - steps.start),
        resets=None if call.resets is None else call.resets[steps],
        recompute=False,
    )
