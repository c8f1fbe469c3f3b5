"""The operator `tidegate::scan`: any engine's whole sequence as one node of a compiled or exported program.

torch.compile and torch.export cannot look into an engine, and should not unroll its steps; they see this operator,
which runs the engine that the layer would have run. Its backward runs the sequence again and differentiates it.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tidegate.calculus import trace
from tidegate.cells import Cell
from tidegate.engines import choose
from tidegate.engines.call import Call, Result, Weights
from tidegate.errors import EngineError

# Cells that no module path leads to, because they were made inside a function or defined anew since.
UNNAMED: dict[str, type[Cell]] = {}


def run(
    cell: type[Cell],
    engine: str,
    reverse: bool,
    recompute: bool,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Weights,
    lengths: Tensor | None,
    resets: Tensor | None,
) -> Result:
    """A Call in the parts that an operator takes: the cell by its class, the rest as in Call."""
    there = [w for w in weights.tensors() if w is not None]
    given = [w is not None for w in weights.tensors()]
    flat = torch.ops.tidegate.scan(
        name_of(cell), engine, reverse, recompute, x, list(states), there, given, lengths, resets
    )
    return Result(flat[0], tuple(flat[1:]))


def name_of(cell: type[Cell]) -> str:
    """The name by which `find` knows this very class; operators take names, not classes."""
    name = f"{cell.__module__}:{cell.__qualname__}"
    if lookup(name) is not cell:
        name = f"{name}@{id(cell)}"
        UNNAMED[name] = cell
    return name


name_of._dynamo_marked_constant = True  # type: ignore[attr-defined]


def find(name: str) -> type[Cell]:
    """The cell class of that name; EngineError if this process does not have it."""
    found = UNNAMED.get(name) or lookup(name)
    if found is None:
        module = name.partition(":")[0]
        raise EngineError(f"the cell {name} of a compiled program is not to be found: import or define it in {module}.")
    return found


def lookup(name: str) -> type[Cell] | None:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found


def as_call(
    cell: str,
    reverse: bool,
    recompute: bool,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    given: Sequence[bool],
    lengths: Tensor | None,
    resets: Tensor | None,
) -> Call:
    """`weights` are those of Weights that are there, as `given` says of each."""
    there = iter(weights)
    whole = Weights(*(next(there) if is_there else None for is_there in given))  # type: ignore[arg-type]
    return Call(trace(find(cell)), x, tuple(states), whole, reverse, lengths, resets, recompute=recompute)


@torch.library.custom_op("tidegate::scan", mutates_args=())
def scan(
    cell: str,
    engine: str,
    reverse: bool,
    recompute: bool,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    given: Sequence[bool],
    lengths: Tensor | None,
    resets: Tensor | None,
) -> list[Tensor]:
    result = choose.dispatch(as_call(cell, reverse, recompute, x, states, weights, given, lengths, resets), engine)
    return [result.outputs, *(s.clone() for s in result.states)]


@scan.register_fake
def _(cell, engine, reverse, recompute, x, states, weights, given, lengths, resets):
    h = states[0]
    return [h.new_empty((x.shape[0], *h.shape)), *(s.new_empty(s.shape) for s in states)]


@torch.library.custom_op("tidegate::scan_backward", mutates_args=())
def scan_backward(
    cell: str,
    engine: str,
    reverse: bool,
    recompute: bool,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    given: Sequence[bool],
    lengths: Tensor | None,
    resets: Tensor | None,
    d_results: Sequence[Tensor],
) -> list[Tensor]:
    """dL/d of x, the states and the weights that are there, in this order; of class numbers an empty tensor."""
    recording = torch._C._SetExcludeDispatchKeyGuard(torch._C.DispatchKey.AutogradFunctionality, False)
    with recording, torch.enable_grad():
        x, *states = (t.detach().requires_grad_(t.is_floating_point()) for t in (x, *states))
        weights = [w.detach().requires_grad_() for w in weights]
        result = choose.dispatch(as_call(cell, reverse, recompute, x, states, weights, given, lengths, resets), engine)
        leaves = [t for t in (x, *states, *weights) if t.requires_grad]
        d = torch.autograd.grad((result.outputs, *result.states), leaves, d_results, allow_unused=True)
    found = [torch.zeros_like(leaf) if g is None else g.clone() for g, leaf in zip(d, leaves)]
    return found if x.requires_grad else [x.new_empty(0, dtype=d_results[0].dtype), *found]


@scan_backward.register_fake
def _(cell, engine, reverse, recompute, x, states, weights, given, lengths, resets, d_results):
    first = torch.empty_like(x) if x.is_floating_point() else d_results[0].new_empty(0)
    return [first, *(torch.empty_like(t) for t in (*states, *weights))]


def remember(ctx, inputs, output) -> None:
    ctx.cell, ctx.engine, ctx.reverse, ctx.recompute, x, states, weights, ctx.given, lengths, resets = inputs
    ctx.states = len(states)
    ctx.save_for_backward(x, lengths, resets, *states, *weights)


def differentiate(ctx, d_results: list[Tensor]):
    x, lengths, resets, *rest = ctx.saved_tensors
    states, weights = rest[: ctx.states], rest[ctx.states :]
    d_x, *d = torch.ops.tidegate.scan_backward(
        ctx.cell, ctx.engine, ctx.reverse, ctx.recompute, x, states, weights, ctx.given, lengths, resets, d_results
    )
    d_states, d_weights = d[: ctx.states], d[ctx.states :]
    return None, None, None, None, d_x if x.is_floating_point() else None, d_states, d_weights, None, None, None


scan.register_autograd(differentiate, setup_context=remember)
