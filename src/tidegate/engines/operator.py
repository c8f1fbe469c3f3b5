"""The operator `tidegate::sequence`: one layer and direction over a whole sequence, as one node of a program that
torch.compile or torch.export makes.

torch.compile and torch.export cannot record what an engine does, and should not unroll the time steps. The node holds
the step's equations as JSON text (tidegate.calculus.serial), so a program that was exported and saved runs in any
process that has imported Tidegate, also if the cell's class is not defined there.

The gradient is a second operator, `tidegate::sequence_backward`, which computes the sequence again before it
differentiates it: what an engine saves for its backward pass depends on the machine, and an exported program must
run on every machine.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from tidegate.calculus import Step, serial, trace
from tidegate.cells import Cell
from tidegate.engines import choose
from tidegate.engines.call import Call, Result, Weights
from tidegate.engines.torch_private import constant_in_program, recording
from tidegate.errors import ArgumentError


def record(
    cell: type[Cell] | Step,
    engine: str,
    reverse: bool,
    recompute: bool,
    precision: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Weights,
    lengths: Tensor | None,
    resets: Tensor | None,
) -> Result:
    """What the engine returns for a Call of these fields, computed by the operator, so that a program being compiled or
    exported records one node."""
    text = text_of(cell, id(cell))
    outputs, *finals = torch.ops.tidegate.sequence(
        text, engine, reverse, recompute, precision, x, list(states), *weights.tensors(), lengths, resets
    )
    return Result(outputs, tuple(finals))


def run_outside(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns, without torch.compile."""
    from tidegate.engines.uncompiled import uncompiled  # loads the compiler

    return uncompiled(function, *arguments)


@constant_in_program
def text_of(cell: type[Cell] | Step, identity: int) -> str:
    """The step of a cell as JSON text, a constant of a compiled program. With `identity`, the id of the cell, as an
    argument, torch.compile compiles another program for another cell."""
    return serial.dumps(cell if isinstance(cell, Step) else trace(cell))


@lru_cache(maxsize=256)
def step_of(text: str) -> Step:
    return serial.loads(text)


@torch.library.custom_op("tidegate::sequence", mutates_args=())
def sequence(
    step: str,
    engine: str,
    reverse: bool,
    recompute: bool,
    precision: str,
    x: Tensor,
    states: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    vectors: Tensor | None,
    w_hr: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
) -> list[Tensor]:
    """The outputs (T, B, P) and the final states, (B, H) each; all contiguous. The arguments are the fields of Call,
    and the step as text."""
    weights = Weights(w_ih, w_hh, b_ih, b_hh, vectors, w_hr)
    call = Call(step_of(step), x, tuple(states), weights, reverse, lengths, resets, False, recompute, precision)
    check_lengths(call)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        result = choose.dispatch(call, engine)
    return [separate(t) for t in (result.outputs, *result.states)]


@sequence.register_fake
def _(
    step,
    engine,
    reverse,
    recompute,
    precision,
    x,
    states,
    w_ih,
    w_hh,
    b_ih,
    b_hh,
    vectors,
    w_hr,
    lengths,
    resets,
) -> list[Tensor]:
    return [states[0].new_empty(x.shape[0], *states[0].shape), *(s.new_empty(s.shape) for s in states)]


@torch.library.custom_op("tidegate::sequence_backward", mutates_args=())
def sequence_backward(
    step: str,
    engine: str,
    reverse: bool,
    recompute: bool,
    precision: str,
    x: Tensor,
    states: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    vectors: Tensor | None,
    w_hr: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    d_results: Sequence[Tensor],
    need_x: bool,
) -> list[Tensor]:
    """The gradients of the loss with respect to x, the states and the weights that are not None, in this order, from
    those with respect to the results of `sequence`; all contiguous. Without `need_x` the first is empty."""
    with recording(), torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        x = x.detach().requires_grad_(need_x)
        states = tuple(s.detach().requires_grad_() for s in states)
        given = (w_ih, w_hh, b_ih, b_hh, vectors, w_hr)
        weights = Weights(*(None if w is None else w.detach().requires_grad_() for w in given))  # type: ignore[arg-type]
        call = Call(step_of(step), x, states, weights, reverse, lengths, resets, False, recompute, precision)
        check_lengths(call)
        result = choose.dispatch(call, engine)
        leaves = [t for t in (x, *states, *weights.tensors()) if t is not None and t.requires_grad]
        d = torch.autograd.grad(
            (result.outputs, *result.states), leaves, d_results, allow_unused=True, materialize_grads=True
        )
    found = [separate(g) for g in d]
    return found if need_x else [w_hh.new_empty(0), *found]


@sequence_backward.register_fake
def _(
    step,
    engine,
    reverse,
    recompute,
    precision,
    x,
    states,
    w_ih,
    w_hh,
    b_ih,
    b_hh,
    vectors,
    w_hr,
    lengths,
    resets,
    d_results,
    need_x,
) -> list[Tensor]:
    weights = [w for w in (w_ih, w_hh, b_ih, b_hh, vectors, w_hr) if w is not None]
    first = x.new_empty(x.shape) if need_x else w_hh.new_empty(0)
    return [first, *(t.new_empty(t.shape) for t in (*states, *weights))]


def separate(t: Tensor) -> Tensor:
    """A contiguous copy with memory of its own, which torch requires of every result of an operator."""
    return t.detach().clone(memory_format=torch.contiguous_format)


def check_lengths(call: Call) -> None:
    """ArgumentError for lengths that are not in 0..T: their values are not known when a program is compiled."""
    lengths = call.lengths
    if lengths is not None and lengths.numel():
        low, high = map(int, torch.aminmax(lengths))
        if low < 0 or high > call.T:
            raise ArgumentError(f"`lengths` must be in 0..T = 0..{call.T}, got {low}..{high}.")


# -- the gradient of the operator -------------------------------------------------------------------------------------


def save_arguments(ctx: Any, inputs: tuple, output: list[Tensor]) -> None:
    *ctx.options, x, states, w_ih, w_hh, b_ih, b_hh, vectors, w_hr, lengths, resets = inputs
    ctx.save_for_backward(x, w_ih, w_hh, b_ih, b_hh, vectors, w_hr, lengths, resets, *states)


def differentiate(ctx: Any, d_results: list[Tensor]) -> tuple:
    x, *rest = ctx.saved_tensors
    *weights, lengths, resets = rest[:8]
    states = rest[8:]
    need_x = ctx.needs_input_grad[len(ctx.options)]
    d_x, *d = torch.ops.tidegate.sequence_backward(
        *ctx.options, x, states, *weights, lengths, resets, d_results, need_x
    )
    d_states, d_weights = d[: len(states)], iter(d[len(states) :])
    of_weights = [None if w is None else next(d_weights) for w in weights]
    return *[None] * len(ctx.options), d_x if need_x else None, d_states, *of_weights, None, None


sequence.register_autograd(differentiate, setup_context=save_arguments)


# -- torch.vmap -------------------------------------------------------------------------------------------------------


def register_vmap(operator: Any) -> None:
    """Under torch.vmap the operator runs once for each example, because each example may have its own weights."""

    @operator.register_vmap
    def _(info: Any, in_dims: tuple, *arguments: Any) -> tuple[list[Tensor], list[int]]:
        def example(argument: Any, dim: Any, i: int) -> Any:
            if isinstance(argument, (list, tuple)):
                return [example(a, d, i) for a, d in zip(argument, dim)]
            return argument if dim is None else argument.select(dim, i)

        found = []
        for i in range(info.batch_size):
            found.append(operator(*[example(a, d, i) for a, d in zip(arguments, in_dims)]))
        return [torch.stack(results) for results in zip(*found)], [0] * len(found[0])


register_vmap(sequence)
register_vmap(sequence_backward)
