"""A whole sequence as one node of torch's graph, for any back end that computes its two passes.

A back end is a module with the two functions of `Kernels`; they read and write memory and do not use autograd.
This file saves what the backward pass needs, runs long sequences in stretches where the call says `recompute`, and
leaves second derivatives and batched gradients to the eager engine, whose operations torch can differentiate to any
order and batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from tidegate.engines import eager, saved_tensors, transforms
from tidegate.engines.call import Call, Result, Weights
from tidegate.engines.precision import ARITHMETIC, in_arithmetic, in_storage
from tidegate.engines.stretches import stretch_of, stretches

#: The products of the eager engine that have the precision of a call's products.
LINEAR: Mapping[str, eager.Linear] = MappingProxyType({"highest": F.linear, "medium": eager.rounded_linear})


class Saved(NamedTuple):
    """What a forward pass keeps for its backward pass: `tensors`, in the back end's own form, and `outputs`, an alias
    of the returned outputs if these share memory with `tensors`, otherwise None."""

    tensors: tuple[Tensor | None, ...]
    outputs: Tensor | None


class Forward(NamedTuple):
    """outputs (T, B, P); final states, (B, H) each; with `keep_gates` every state (T, B, S, H) and gate (T, B, G, H).

    No tensor is a view of another in autograd's sense, even if memory is shared: a caller may change it in place.
    """

    outputs: Tensor
    finals: tuple[Tensor, ...]
    states: Tensor | None
    gates: Tensor | None
    saved: Saved | None


class Cotangents(NamedTuple):
    """Gradients of the loss with respect to the fields of `Forward`; None where the loss does not depend on one."""

    outputs: Tensor | None
    finals: tuple[Tensor | None, ...]
    states: Tensor | None
    gates: Tensor | None


class Needed(NamedTuple):
    """Which gradients must be computed; those of states, biases and vectors always are."""

    x: bool
    w_ih: bool
    w_hh: bool


class Gradients(NamedTuple):
    """Gradients of the loss with respect to x, the initial states, and the weights in the order of
    `Weights.tensors`; None for those that are not needed or have no tensor."""

    x: Tensor | None
    states: tuple[Tensor, ...]
    weights: tuple[Tensor | None, ...]


class Kernels(Protocol):
    """The two passes over a whole sequence, as a back end computes them."""

    def forward(self, call: Call, *, save: bool) -> Forward:
        """Outputs and final states; with `save`, also what `backward` needs."""
        ...

    def backward(self, call: Call, saved: Saved, d: Cotangents, needed: Needed) -> Gradients:
        """The gradients, from what the forward pass of the same call saved."""
        ...


def differentiable(call: Call, kernels: Kernels) -> Result:
    """The call, computed by the kernels, as part of torch's graph where a gradient is required."""
    tensors = (call.x, *call.states, *call.weights.tensors())
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        node = _InStretches if call.recompute and not call.keep_gates else _AtOnce
        flat: Any = node.apply(call, kernels, *tensors)
    else:
        found = kernels.forward(call, save=False)
        flat = (found.outputs, *found.finals, found.states, found.gates)
    n = 1 + len(call.states)
    if not call.keep_gates:
        return Result(flat[0], flat[1:n])
    sequences, gates = (dict(zip(names, t.unbind(2))) for names, t in zip((call.step.state, call.step.gates), flat[n:]))
    return Result(flat[0], flat[1:n], sequences, gates)


class _AtOnce(torch.autograd.Function):
    """One forward and one backward pass over all steps."""

    @staticmethod
    def forward(ctx: Any, call: Call, kernels: Kernels, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        outputs, finals, states, gates, saved = kernels.forward(call, save=True)
        assert saved is not None
        remember(ctx, call, kernels, (*tensors, *saved.tensors))
        ctx.outputs = saved.outputs
        ctx.version = None if saved.outputs is None else saved.outputs._version
        return outputs, *finals, states, gates

    @staticmethod
    def backward(ctx: Any, *d: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        call, tensors, kept = recall(ctx)
        if for_eager_engine(d):
            return None, None, *eager_gradients(call, tensors, d)
        n = 1 + len(call.states)
        saved = Saved(kept, ctx.outputs)
        if saved.outputs is not None and saved.outputs._version != ctx.version:
            # The caller has changed the outputs, which share memory with the saved states: compute these again.
            saved = kernels_saved(ctx.kernels, call)
        found = ctx.kernels.backward(call, saved, Cotangents(d[0], d[1:n], d[n], d[n + 1]), needed(ctx, call))
        return None, None, *where_needed(ctx, (found.x, *found.states, *found.weights))


class _InStretches(torch.autograd.Function):
    """As `_AtOnce`, in stretches of about sqrt(T) steps: the forward pass keeps the states between them, the backward
    pass runs each stretch again before it differentiates it."""

    @staticmethod
    def forward(ctx: Any, call: Call, kernels: Kernels, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        outputs = call.states[0].new_empty(call.T, call.B, call.H)
        states, between = call.states, []
        for steps in stretches(call):
            between.append(states)
            found = kernels.forward(stretch_of(call, steps, states), save=False)
            outputs[steps] = found.outputs
            states = found.finals
        # The last states are outputs too, which a caller may change; no stretch starts from them.
        remember(ctx, call, kernels, (*tensors, *(s for states in between[1:] for s in states)))
        return outputs, *states, None, None

    @staticmethod
    def backward(ctx: Any, *d: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        call, tensors, kept = recall(ctx)
        if for_eager_engine(d):
            return None, None, *eager_gradients(call, tensors, d)
        S = len(call.states)
        between = [call.states, *(kept[i : i + S] for i in range(0, len(kept), S))]
        needs = needed(ctx, call)
        d_x = torch.empty_like(call.x) if needs.x else None
        d_states, total = d[1 : 1 + S], None
        for steps, states in reversed(list(zip(stretches(call), between, strict=True))):
            stretch = stretch_of(call, steps, states)
            d_here = Cotangents(None if d[0] is None else d[0][steps], d_states, None, None)
            found = ctx.kernels.backward(stretch, kernels_saved(ctx.kernels, stretch), d_here, needs)
            if d_x is not None and found.x is not None:
                d_x[steps] = found.x
            d_states = found.states
            total = found.weights if total is None else tuple(map(add, total, found.weights))
        return None, None, *where_needed(ctx, (d_x, *d_states, *(total or ())))


def remember(ctx: Any, call: Call, kernels: Kernels, tensors: tuple[Tensor | None, ...]) -> None:
    """Save the call for the backward pass; torch checks that its tensors are unchanged until then."""
    masks = (None if mask is None else mask.clone() for mask in (call.lengths, call.resets))
    ctx.form, ctx.kernels = (call.step, call.reverse, *masks, call.keep_gates, False, call.precision), kernels
    saved_tensors.save(ctx, tensors)
    ctx.set_materialize_grads(False)


def recall(ctx: Any) -> tuple[Call, tuple[Tensor | None, ...], tuple[Tensor | None, ...]]:
    """The saved call, its tensors, and the other saved tensors."""
    n = len(ctx.needs_input_grad) - 2
    saved = saved_tensors.read(ctx)
    tensors, kept = saved[:n], saved[n:]
    step, *form = ctx.form
    S = len(step.state)
    return Call(step, tensors[0], tuple(tensors[1 : 1 + S]), Weights(*tensors[1 + S :]), *form), tensors, kept


def needed(ctx: Any, call: Call) -> Needed:
    n = 3 + len(call.states)
    return Needed(ctx.needs_input_grad[2], ctx.needs_input_grad[n], ctx.needs_input_grad[n + 1])


def where_needed(ctx: Any, gradients: tuple[Tensor | None, ...]) -> list[Tensor | None]:
    return [g if need else None for g, need in zip(gradients, ctx.needs_input_grad[2:])]


def kernels_saved(kernels: Kernels, call: Call) -> Saved:
    """What a forward pass of the call saves."""
    saved = kernels.forward(call, save=True).saved
    assert saved is not None
    return saved


def add(total: Tensor | None, more: Tensor | None) -> Tensor | None:
    return None if total is None or more is None else total.add_(more)


def for_eager_engine(d: tuple[Tensor | None, ...]) -> bool:
    """Whether the backward pass needs operations of torch: it is itself to be differentiated, or the gradients that it
    receives are not plain tensors, as under torch.autograd.grad(is_grads_batched=True)."""
    return torch.is_grad_enabled() or transforms.refuse_tensors([t for t in d if t is not None]) is not None


def eager_gradients(
    call: Call, tensors: tuple[Tensor | None, ...], d: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients by the eager engine (`replayed`)."""
    n = 1 + len(call.states)

    def run(aliases: tuple[Tensor, ...]) -> list[Tensor]:
        again = replace(call, x=aliases[0], states=aliases[1:n], weights=Weights(*aliases[n:]))
        result = by_eager(again)
        flat = [result.outputs, *result.states]
        if call.keep_gates:
            flat += [torch.stack(list(kept.values()), 2) for kept in (result.sequences, result.gates)]
        return flat

    return replayed(run, tensors, d)


def by_eager(call: Call) -> Result:
    """The call by the eager engine, in the number types and with the products of the kernels."""
    storage, linear = call.weights.w_hh.dtype, LINEAR[call.precision]
    if ARITHMETIC[storage] is storage:
        return eager.run(call, linear)
    return in_storage(eager.run(in_arithmetic(call), linear), storage)


def replayed(
    run: Callable[[Any], list[Tensor]], tensors: tuple[Tensor | None, ...], d: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients of what `run` computes of these tensors, by torch's own operations; where gradients are enabled, as
    functions of the tensors and of `d` that torch can differentiate in turn.

    One tensor may have several roles, as tied parameters do; each role has an alias, and so a gradient of its own.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        aliases = [None if t is None else t.view_as(t) for t in tensors]
        outputs = [(y, dy) for y, dy in zip(run(tuple(aliases)), d) if dy is not None]
        wanted = [t for t in aliases if t is not None and t.requires_grad]
        found = iter(
            torch.autograd.grad(
                [y for y, _ in outputs],
                wanted,
                [dy for _, dy in outputs],
                create_graph=create_graph,
                allow_unused=True,
            )
        )
    return tuple(next(found) if t is not None and t.requires_grad else None for t in aliases)
