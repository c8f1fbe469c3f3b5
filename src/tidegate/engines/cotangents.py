"""What a loss feels at every step: its gradient with respect to each state and gate of a recorded sequence."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tidegate.calculus import adjoint, evaluate
from tidegate.calculus.expression import Expression
from tidegate.engines.call import Call, Result
from tidegate.engines.eager import OPERATIONS

BACKWARD = OPERATIONS | {"step": lambda x: (~(x <= 0)).to(x.dtype), "sign": torch.sign}  # NaN lets NaN pass


@dataclass(frozen=True)
class Loss:
    """dL/d of what an engine returned, each as if the others were constants; (T, B, H), finals (B, H)."""

    outputs: Tensor
    finals: Mapping[str, Tensor]
    sequences: Mapping[str, Tensor]
    gates: Mapping[str, Tensor]


@torch.no_grad()
def cotangents(call: Call, result: Result, loss: Loss) -> dict[str, Tensor]:
    """dL/d of every state and gate by name, (T, B, H) each, through all that follows from it.

    `result` holds the gates and states of `call`. One pass of backpropagation through time with the derived Adjoint;
    beyond a sequence's end everything is zero.
    """
    step, w, h = call.step, call.weights, call.step.state[0]
    backstep = adjoint(step, of_gates=True)
    value = forward_values(call, result)
    saved = {e: t for e, t in value.items() if e in backstep.saved}
    alive = torch.ones(call.T, call.B, 1, dtype=torch.bool, device=call.x.device)
    if call.lengths is not None:
        alive = (torch.arange(call.T).unsqueeze(1) < call.lengths.cpu()).unsqueeze(-1).to(call.x.device)
    U = dict(zip(step.products, w.w_hh.split(call.H)))
    vectors = {} if w.vectors is None else dict(zip(step.v.values(), w.vectors.split(call.H)))
    found = {name: torch.zeros_like(kept) for name, kept in (result.sequences | result.gates).items()}
    d = {s: loss.finals[s] for s in step.state}
    for t in range(call.T) if call.reverse else reversed(range(call.T)):
        total = {s: d[s] + loss.sequences[s][t] for s in step.state}
        total[h] = total[h] + loss.outputs[t]
        d_new = {s: torch.where(alive[t], x, 0) for s, x in total.items()}
        d_h = d_new[h]
        if w.w_hr is not None:
            d_new[h] = d_h @ w.w_hr
        here = vectors | {e: x[t] for e, x in saved.items()}
        here |= {e: d_new[s] for s, e in backstep.d_new.items()}
        here |= {e: torch.where(alive[t], loss.gates[g][t], 0) for g, e in backstep.d_gate.items()}
        for k, stage in reversed(list(enumerate(step.stages))):
            dq = evaluate([backstep.dq[g] for g in stage.gates], here, BACKWARD)
            here[backstep.d_p[k]] = sum((x @ U[g] for g, x in zip(stage.gates, dq)), torch.zeros(()))
        # A new state may act within its own step too, as c' does on h', so its share is more than d_new.
        named = step.new | step.gate
        felt = dict(zip(named, evaluate([backstep.cotangent[e] for e in named.values()], here, BACKWARD)))
        if w.w_hr is not None:
            felt[h] = d_h
        for name, x in felt.items():
            found[name][t] = x
        before = evaluate(list(backstep.d_old.values()), here, BACKWARD)
        if call.resets is not None:
            before = [x.masked_fill(call.resets[t].unsqueeze(-1), 0) for x in before]
        d = {s: torch.where(alive[t], x, total[s]) for s, x in zip(step.state, before)}
    return found


def forward_values(call: Call, result: Result) -> dict[Expression, Tensor]:
    """Every forward value that the adjoint mentions, for all steps at once, from the recorded states."""
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
