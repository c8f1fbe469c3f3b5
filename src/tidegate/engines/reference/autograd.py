"""The reference as an engine: from torch to NumPy and back, inside torch's autograd."""

import torch
from torch import Tensor

from tidegate.engines.call import Call, Result, Weights
from tidegate.engines.reference.bptt import backward, forward
from tidegate.engines.reference.problem import as_problem, numpy64
from tidegate.errors import EngineError

NAME = "reference"


def refuse(call: Call) -> str | None:
    return "it keeps every step and does not recompute" if call.recompute else None


def run(call: Call) -> Result:
    """The sequence in float64 on the CPU, differentiable once; results have the dtype and device of the call."""
    flat = _Scan.apply(call, call.x, *call.states, *call.weights.tensors())
    n, step = 1 + len(call.states), call.step
    if not call.keep_gates:
        return Result(flat[0], tuple(flat[1:n]))
    m = n + len(step.state)
    sequences, gates = dict(zip(step.state, flat[n:m])), dict(zip(step.gates, flat[m:]))
    return Result(flat[0], tuple(flat[1:n]), sequences, gates)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, call: Call, x: Tensor, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        n = len(call.step.state)
        w = Weights(*tensors[n:])  # type: ignore[arg-type]
        problem = as_problem(call, x, tensors[:n], w)  # type: ignore[arg-type]
        tape = forward(problem)
        ctx.call, ctx.problem, ctx.tape, ctx.like = call, problem, tape, (x, *tensors)
        kept = [*tape.sequences.values(), *tape.gates.values()] if call.keep_gates else []
        like = call.states[0]
        return tuple(torch.from_numpy(array).to(like) for array in (tape.outputs, *tape.final.values(), *kept))

    @staticmethod
    def backward(ctx, *d_results: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if torch.is_grad_enabled():  # create_graph=True: torch would return zero for the second derivative
            raise EngineError(
                'engine "reference" has first derivatives only; for create_graph=True use engine="eager".'
            )
        call, step = ctx.call, ctx.call.step
        n = len(step.state)
        d_outputs, *d = map(numpy64, d_results)
        kept = dict(zip(step.state, d[n : 2 * n])), dict(zip(step.gates, d[2 * n :]))
        found = backward(
            ctx.problem, ctx.tape, d_outputs, dict(zip(step.state, d[:n])), *(kept if call.keep_gates else ())
        )
        arrays = (None if call.indexed else found.x, *found.states.values(), *found.packed())
        return None, *(
            None if tensor is None or array is None or not tensor.requires_grad else torch.from_numpy(array).to(tensor)
            for array, tensor in zip(arrays, ctx.like)
        )
