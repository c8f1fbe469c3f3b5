"""torch.nn as an oracle, for the cells that it has."""

import torch
from torch import Tensor

from tidegate import cells
from tidegate.calculus import trace
from tidegate.engines import Call, Result

TWINS = {
    trace(cells.RNN): (torch.nn.RNN, {"nonlinearity": "tanh"}),
    trace(cells.ReluRNN): (torch.nn.RNN, {"nonlinearity": "relu"}),
    trace(cells.GRU): (torch.nn.GRU, {}),
    trace(cells.LSTM): (torch.nn.LSTM, {}),
}


def refuse(call: Call) -> str | None:
    """Why torch.nn cannot compute the call; None if it can."""
    if call.step not in TWINS:
        return "it does not have this cell"
    if call.weights.w_hr is not None and call.step is not trace(cells.LSTM):
        return "it projects the state of an LSTM only"
    return None


def run(call: Call) -> Result:
    """The call on torch.nn's own layer; differentiable.

    A whole sequence is one call of the layer, reversed in time where the call is. With lengths or resets, which
    torch.nn does not have in this form, every step is a call of its own.
    """
    x = one_hot(call)
    if call.lengths is None and call.resets is None:
        y, states = layer(call, x.flip(0) if call.reverse else x, call.states)
        return Result(y.flip(0) if call.reverse else y, states)
    return run_steps(call)[0]


def run_steps(call: Call) -> tuple[Result, tuple[Tensor, ...]]:
    """The call with one call of the layer for each step, every state, and the output state that each step computed."""
    x, states, computed = one_hot(call), call.states, {}
    outputs: dict[int, Tensor] = {}
    every: dict[int, tuple[Tensor, ...]] = {}
    for t in reversed(range(call.T)) if call.reverse else range(call.T):
        old = states
        if call.resets is not None:
            old = tuple(torch.where(call.resets[t, :, None], 0.0, s) for s in states)
        _, new = layer(call, x[t : t + 1], old)
        computed[t] = new[0]
        if call.lengths is None:
            states, outputs[t] = new, new[0]
        else:
            alive = (t < call.lengths)[:, None]
            states = tuple(torch.where(alive, n, s) for n, s in zip(new, states))
            outputs[t] = torch.where(alive, new[0], 0.0)
        every[t] = states
    sequences = {s: torch.stack([every[t][k] for t in range(call.T)]) for k, s in enumerate(call.step.state)}
    result = Result(torch.stack([outputs[t] for t in range(call.T)]), states, sequences)
    return result, tuple(computed[t] for t in range(call.T))


def one_hot(call: Call) -> Tensor:
    """x (T, B, D), one-hot rows where the call has class indices."""
    return torch.nn.functional.one_hot(call.x.long(), call.D).to(call.weights.w_ih) if call.indexed else call.x


def layer(call: Call, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """torch.nn's layer with the weights of the call, on x (T, B, D)."""
    kind, options = TWINS[call.step]
    w = call.weights
    if w.w_hr is not None:
        options = options | {"proj_size": call.P}
    twin = kind(call.D, call.H, bias=w.b_ih is not None, dtype=w.w_ih.dtype, device="meta", **options)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "", "weight_hr")
    parameters = {f"{n}_l0": m for n, m in zip(names, w.tensors()) if m is not None and n}
    first, *others = (s[None] for s in states)
    y, final = torch.func.functional_call(twin, parameters, (x, (first, *others) if others else first))
    return y, tuple(s[0] for s in (final if others else (final,)))
