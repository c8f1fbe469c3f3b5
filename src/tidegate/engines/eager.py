"""The eager engine: the traced step as torch operations, for any device and dtype, with autograd of any order."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tidegate.calculus import evaluate, operations
from tidegate.calculus.expression import Expression
from tidegate.engines.call import Call, Result
from tidegate.engines.ragged import walk
from tidegate.engines.stretches import stretch_of, stretches
from tidegate.engines.torch_private import in_functorch_transform, in_jit_trace

NAME = "eager"


def maximum(x: Tensor | float, y: Tensor | float) -> Tensor:
    """torch.maximum, also for a tensor and a number."""
    like = x if isinstance(x, Tensor) else y
    assert isinstance(like, Tensor)
    return torch.maximum(*(v if isinstance(v, Tensor) else like.new_tensor(v) for v in (x, y)))


#: The primitive operations on tensors; evaluate() computes the others by their definitions.
OPERATIONS = {
    **{o.name: getattr(torch, o.torch) if o.torch else o.number for o in operations.TABLE if o.definition is None},
    "constant": float,
    "maximum": maximum,
    "step": lambda x: (~(x <= 0)).to(x.dtype),  # 1 for NaN, so that a gradient through a NaN is NaN
}


def refuse(call: Call) -> str | None:
    if recomputes(call) and in_functorch_transform():
        return "it cannot recompute inside a torch.func transform (grad, jvp, vmap); use recompute=False"
    if recomputes(call) and in_jit_trace():
        return "torch.jit.trace cannot record the recomputation; use recompute=False, or trace under torch.no_grad()"
    return None


def recomputes(call: Call) -> bool:
    return call.recompute and torch.is_grad_enabled()


#: (x, weight, bias) -> x weight^T + bias
Linear = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def rounded_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The product of operands rounded to bfloat16, with the gradients of the product of those numbers."""
    return F.linear(rounded(x), rounded(weight), bias)


def rounded(t: Tensor) -> Tensor:
    """t rounded to bfloat16, with the derivative 1."""
    return t + (t.bfloat16().to(t.dtype) - t).detach()


def run(call: Call, linear: Linear = F.linear) -> Result:
    """The sequence, one step after the other, with `linear` for its products; differentiable by torch to any order."""
    if recomputes(call):
        return run_in_stretches(call)
    step, w, H = call.step, call.weights, call.H
    inputs = F.embedding(call.x, w.w_ih.T) if call.indexed else linear(call.x, w.w_ih, None)
    a = (inputs if w.b_ih is None else inputs + w.b_ih).unbind(0)
    per_unit = {} if w.vectors is None else dict(zip(step.v.values(), w.vectors.view(-1, H)))
    steps, states = walk(call), call.states
    outputs: list[Tensor] = []
    sequences: dict[str, list[Tensor]] = {s: [] for s in step.state}
    gates: dict[str, list[Tensor]] = {g: [] for g in step.gates}
    for t in steps.forward():
        new, gate = one_step(call, a[t], steps.before(t, states), per_unit, linear)
        states = steps.after(t, new, states)
        outputs.append(steps.inside(t, new[0]))
        if call.keep_gates:
            for kept, values in ((sequences, states), (gates, [steps.inside(t, g) for g in gate])):
                for sequence, value in zip(kept.values(), values):
                    sequence.append(value)
    return Result(
        in_order(outputs, call),
        states,
        {s: in_order(kept, call) for s, kept in sequences.items()} if call.keep_gates else {},
        {g: in_order(kept, call) for g, kept in gates.items()} if call.keep_gates else {},
    )


def run_in_stretches(call: Call) -> Result:
    """The sequence in stretches of steps: torch keeps the states between them and runs each stretch again in the
    backward pass."""
    outputs, states = [], call.states
    for steps in stretches(call):
        result = checkpoint(run, stretch_of(call, steps, states), use_reentrant=False, preserve_rng_state=False)
        outputs.append(result.outputs)
        states = result.states
    whole = torch.cat(outputs[::-1] if call.reverse else outputs) if outputs else in_order([], call)
    return Result(whole, states)


def one_step(
    call: Call, a: Tensor, old: tuple[Tensor, ...], per_unit: dict[Expression, Tensor], linear: Linear = F.linear
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """New states and gate values, (B, H) each, from the projected inputs `a` (B, Ga*H) and the old states.

    The output state has P columns where it is projected.
    """
    step, w, H = call.step, call.weights, call.H
    given = per_unit | dict(zip(step.old.values(), old)) | dict(zip(step.a.values(), a.split(H, -1)))
    for stage in step.stages:
        (p,) = evaluate([stage.operand], given, OPERATIONS)
        rows = [step.products.index(g) for g in stage.gates]
        if rows == list(range(len(step.products))):
            q = linear(p, w.w_hh, w.b_hh).split(H, -1)
        else:
            q = [
                linear(p, w.w_hh[k * H : k * H + H], None if w.b_hh is None else w.b_hh[k * H : k * H + H])
                for k in rows
            ]
        given |= {step.q[g]: value for g, value in zip(stage.gates, q)}
    values = evaluate([*step.new.values(), *step.gate.values()], given, OPERATIONS)
    h, *others = values[: len(step.new)]
    return (h if w.w_hr is None else F.linear(h, w.w_hr), *others), tuple(values[len(step.new) :])


def in_order(sequence: list[Tensor], call: Call) -> Tensor:
    if not sequence:
        return call.states[0].new_zeros(0, call.B, call.P)
    return torch.stack(sequence[::-1] if call.reverse else sequence)
