"""Gradients of a loss with respect to every state and gate of a recorded sequence, at every step."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tidegate.calculus import adjoint, evaluate
from tidegate.calculus.expression import Expression
from tidegate.engines.call import Call, Result
from tidegate.engines.eager import OPERATIONS
from tidegate.engines.ragged import walk


@dataclass(frozen=True)
class Loss:
    """Gradients of the loss with respect to what an engine returned, each with the others held constant: (T, B, H),
    finals (B, H)."""

    outputs: Tensor
    finals: Mapping[str, Tensor]
    sequences: Mapping[str, Tensor]
    gates: Mapping[str, Tensor]


@torch.no_grad()
def cotangents(call: Call, result: Result, loss: Loss) -> dict[str, Tensor]:
    """Gradients of the loss with respect to every state and gate by name, (T, B, H) each, through all later steps.

    `result` holds the gates and states of `call`. One pass of backpropagation through time with the derived Adjoint;
    beyond a sequence's end all gradients are zero.
    """
    step, w, h = call.step, call.weights, call.step.state[0]
    backstep = adjoint(step, of_gates=True)
    value = forward_values(call, result)
    saved = {e: t for e, t in value.items() if e in backstep.saved}
    steps = walk(call)
    U = dict(zip(step.products, w.w_hh.split(call.H)))
    vectors = {} if w.vectors is None else dict(zip(step.v.values(), w.vectors.split(call.H)))
    found = {name: torch.zeros_like(kept) for name, kept in (result.sequences | result.gates).items()}
    d = {s: loss.finals[s] for s in step.state}
    for t in steps.backward():
        total = {s: d[s] + loss.sequences[s][t] for s in step.state}
        total[h] = total[h] + loss.outputs[t]
        d_new = {s: steps.inside(t, x) for s, x in total.items()}
        d_h = d_new[h]
        if w.w_hr is not None:
            d_new[h] = d_h @ w.w_hr
        here = vectors | {e: x[t] for e, x in saved.items()}
        here |= {e: d_new[s] for s, e in backstep.d_new.items()}
        here |= {e: steps.inside(t, loss.gates[g][t]) for g, e in backstep.d_gate.items()}
        for k, stage in reversed(list(enumerate(step.stages))):
            dq = evaluate([backstep.dq[g] for g in stage.gates], here, OPERATIONS)
            here[backstep.d_p[k]] = sum((x @ U[g] for g, x in zip(stage.gates, dq)), torch.zeros((), device=d_h.device))
        # A new state can also be used within its own step, as c' is in h', so its gradient is more than d_new.
        named = step.new | step.gate
        at_t = dict(zip(named, evaluate([backstep.cotangent[e] for e in named.values()], here, OPERATIONS)))
        if w.w_hr is not None:
            at_t[h] = d_h
        for name, x in at_t.items():
            found[name][t] = x
        d_old = evaluate(list(backstep.d_old.values()), here, OPERATIONS)
        d_old = tuple(x if isinstance(x, Tensor) else torch.full_like(d_h, x) for x in d_old)
        d_old = steps.before(t, d_old)
        d = dict(zip(step.state, steps.after(t, d_old, tuple(total.values()))))
    return found


def forward_values(call: Call, result: Result) -> dict[Expression, Tensor]:
    """Every forward value that the adjoint uses, for all steps at once, from the recorded states."""
    step, w, H = call.step, call.weights, call.H
    inputs = F.embedding(call.x, w.w_ih.T) if call.indexed else F.linear(call.x, w.w_ih)
    inputs = inputs if w.b_ih is None else inputs + w.b_ih
    value = {} if w.vectors is None else dict(zip(step.v.values(), w.vectors.split(H)))
    value |= dict(zip(step.a.values(), inputs.split(H, -1)))
    for s, start in zip(step.state, call.states):
        kept, first = result.sequences[s], start.unsqueeze(0)
        old = torch.cat([kept[1:], first]) if call.reverse else torch.cat([first, kept[:-1]])
        if call.resets is not None:
            old = old.masked_fill(call.resets.unsqueeze(-1), 0)
        value[step.old[s]] = old
    for stage in step.stages:
        (p,) = evaluate([stage.operand], value, OPERATIONS)
        for g in stage.gates:
            rows = slice(step.products.index(g) * H, (step.products.index(g) + 1) * H)
            value[step.q[g]] = F.linear(p, w.w_hh[rows], None if w.b_hh is None else w.b_hh[rows])
    wanted = adjoint(step, of_gates=True).saved
    return value | dict(zip(wanted, evaluate(list(wanted), value, OPERATIONS)))
