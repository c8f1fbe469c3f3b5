"""Random problems: a call of a cell, of any size and with any options, and a loss."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tidegate.calculus import Step, trace
from tidegate.calculus.expression import subgraph
from tidegate.cells import Cell
from tidegate.engines import Call, Result, Weights
from tidegate.errors import ArgumentError

OPTIONS = ("reverse", "lengths", "resets", "indexed", "no bias", "no state", "projected")
WEIGHTS = ("W_ih", "W_hh", "b_ih", "b_hh", "v", "W_hr")


@dataclass(frozen=True)
class Problem:
    """A call whose leaves require gradients, and L = sum(y * d_outputs) + sum over states of sum(s_T * d_final[s])."""

    call: Call
    cell: type[Cell] | Step
    d_outputs: Tensor
    d_final: tuple[Tensor, ...]
    options: tuple[str, ...] = ()

    def loss(self, result: Result) -> Tensor:
        terms = [(result.outputs, self.d_outputs), *zip(result.states, self.d_final)]
        return sum((y * d).sum() for y, d in terms)  # type: ignore[return-value]

    def to(self, dtype: torch.dtype) -> "Problem":
        """The same numbers in another precision, as new leaves."""
        call, w = self.call, self.call.weights
        return replace(
            self,
            call=replace(
                call,
                x=call.x if call.indexed else leaf(call.x.to(dtype)),
                states=tuple(leaf(s.to(dtype)) for s in call.states),
                weights=Weights(*(None if m is None else leaf(m.to(dtype)) for m in w.tensors())),  # type: ignore[arg-type]
            ),
            d_outputs=self.d_outputs.to(dtype),
            d_final=tuple(d.to(dtype) for d in self.d_final),
        )

    def leaves(self) -> dict[str, Tensor]:
        """The tensors with respect to which gradients are computed, by name: x, h_0, W_ih, W_hh, b_ih, b_hh, v,
        W_hr."""
        call = self.call
        named = {} if call.indexed else {"x": call.x}
        named |= {f"{s}_0": tensor for s, tensor in zip(call.step.state, call.states)}
        weights = zip(WEIGHTS, call.weights.tensors())
        return named | {name: tensor for name, tensor in weights if tensor is not None}

    def with_leaf(self, name: str, tensor: Tensor) -> Call:
        """The call with the leaf of that name replaced."""
        call = self.call
        leaves = self.leaves() | {name: tensor}
        x = call.x if call.indexed else leaves["x"]
        weights = Weights(*(leaves.get(n) for n in WEIGHTS))  # type: ignore[arg-type]
        return replace(call, x=x, states=tuple(leaves[f"{s}_0"] for s in call.step.state), weights=weights)


def random_problem(
    cell: type[Cell] | Step,
    *,
    sizes: tuple[int, int, int, int] = (7, 3, 4, 5),
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    options: Iterable[str] = (),
) -> Problem:
    """A problem of `sizes` = (T, B, D, H), all its numbers random; `options` is any selection of OPTIONS.

    The numbers are drawn in float64 and rounded, so they are the same in every precision: x and the gradients with
    respect to the results from N(0, 1), initial states from N(0, 1/4), weights and vectors from N(0, 1/D) and
    N(0, 1/H), biases from N(0, 1/4). "projected" gives the output state P = (H + 1) // 2 columns.
    """
    step = cell if isinstance(cell, Step) else trace(cell)
    options = set(options)
    unknown = sorted(options - set(OPTIONS))
    if unknown:
        raise ArgumentError(f"`options` must be among {', '.join(OPTIONS)}, got {unknown[0]!r}.")
    if len(sizes) != 4 or any(size < 1 for size in sizes):
        raise ArgumentError(f"`sizes` must be four whole numbers T, B, D, H >= 1, got {sizes!r}.")
    if "projected" in options and not can_project(step):
        raise ArgumentError(
            f"`options`: {step.name} uses its output state element by element, so it cannot be projected."
        )
    T, B, D, H = sizes
    P = (H + 1) // 2 if "projected" in options else H
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return leaf((scale * torch.randn(*shape, generator=random, dtype=torch.float64)).to(dtype))

    def bias(count: int) -> Tensor | None:
        drawn = normal(count * H, scale=0.5)
        return None if "no bias" in options else drawn

    weights = Weights(
        normal(len(step.inputs) * H, D, scale=D**-0.5),
        normal(len(step.products) * H, P, scale=P**-0.5),
        bias(len(step.inputs)),
        bias(len(step.products)),
        normal(len(step.vectors) * H, scale=H**-0.5) if step.vectors else None,
        normal(P, H, scale=H**-0.5) if "projected" in options else None,
    )
    x: Tensor = normal(T, B, D)
    if "indexed" in options:
        x = torch.randint(D, (T, B), generator=random)
    width = {s: P if s == step.state[0] else H for s in step.state}
    states = tuple(normal(B, width[s], scale=0.5) for s in step.state)
    if "no state" in options:
        states = tuple(leaf(torch.zeros_like(s)) for s in states)
    lengths = torch.randint(T + 1, (B,), generator=random)
    lengths[0] = T
    resets = torch.rand(T, B, generator=random) < 0.3
    d_outputs, d_final = normal(T, B, P).detach(), tuple(normal(B, width[s]).detach() for s in step.state)
    call = Call(
        step=step,
        x=x,
        states=states,
        weights=weights,
        reverse="reverse" in options,
        lengths=lengths if "lengths" in options else None,
        resets=resets if "resets" in options else None,
    )
    return Problem(call, cell, d_outputs, d_final, tuple(o for o in OPTIONS if o in options))


def one_step(problem: Problem) -> Problem:
    """The problem of the step that runs first, as a sequence of one step."""
    call = problem.call
    t = call.T - 1 if call.reverse else 0
    x = call.x[t : t + 1]
    x = leaf(torch.nn.functional.one_hot(x.long(), call.D).to(call.weights.w_ih) if call.indexed else x)
    alone = replace(call, x=x, reverse=False, lengths=None, resets=None, keep_gates=False)
    return replace(problem, call=alone, d_outputs=problem.d_outputs[t : t + 1])


def options_of(step: Step) -> tuple[str, ...]:
    """The OPTIONS that are possible for a cell."""
    return OPTIONS if can_project(step) else tuple(option for option in OPTIONS if option != "projected")


def can_project(step: Step) -> bool:
    """Whether the output state is used in matrix products only, so that it can have another size."""
    h = step.old[step.state[0]]
    operands = [stage.operand for stage in step.stages if stage.operand is not h]
    return h not in subgraph([*step.new.values(), *step.gate.values(), *operands])


def leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()
