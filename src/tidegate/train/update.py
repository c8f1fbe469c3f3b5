"""Clipping and update: the global norm of the gradients, and the optimiser's step with gradients of at most that norm.

On the CPU our kernels read the gradients once for the norm and once for the update; everywhere else it is torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import SGD, AdamW, Optimizer

from tidegate.engines import transforms
from tidegate.engines.cpu import host_refuses, update_abi
from tidegate.engines.operator import run_outside
from tidegate.engines.torch_private import compiler_callback, has_step_hooks, in_forward_mode, same_form
from tidegate.errors import ArgumentError, DivergenceError

TINY = 1e-6  # is added to the norm, as in clip_grad_norm_

Group = dict[str, Any]  # the settings of a group of parameters


def clip_and_step(optimizer: Optimizer, max_norm: float, *, error_if_nonfinite: bool = False) -> Tensor:
    """torch.nn.utils.clip_grad_norm_ on all parameters of the optimiser, then `optimizer.step()`, in fewer passes.

        norm = sqrt(sum of g^2 over all gradients)      g <- g min(1, max_norm / (norm + 1e-6))

    Returns the norm before clipping, a tensor with one number. If it is NaN, the parameters that have a gradient become
    NaN; if it is infinite, finite gradients become 0 and infinite ones NaN, as with torch. With `error_if_nonfinite` a
    DivergenceError is raised instead, and nothing is changed.

    For torch.optim.SGD without momentum and AdamW without amsgrad, with dense float32 or float64 parameters on the
    CPU, our kernels compute it, equal to torch's up to rounding; the state of the optimiser is torch's. With hooks, a
    learning rate scheduler, other optimisers and on other devices, torch's own functions are called.
    """
    if not max_norm > 0:
        raise ArgumentError(f"`max_norm` must be a positive number, got {max_norm}.")
    if torch.compiler.is_compiling() or compiler_callback() is not None:  # it cannot record calls of kernels
        return run_outside(clipped_step, optimizer, max_norm, error_if_nonfinite)
    return clipped_step(optimizer, max_norm, error_if_nonfinite)


def clipped_step(optimizer: Optimizer, max_norm: float, error_if_nonfinite: bool) -> Tensor:
    """As `clip_and_step`, outside torch.compile."""
    kernels = repeated_update(optimizer)
    if kernels is None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = gradient_norm(parameters)
        if error_if_nonfinite:
            check_finite(norm)
        clip_grads_with_norm_(parameters, max_norm, norm)
        optimizer.step()
        return norm
    try:
        norm = kernels.norm()
        if error_if_nonfinite:
            check_finite(norm)
        kernels.step(float(norm), max_norm)
        return norm
    finally:
        kernels.forget()
        updates[optimizer] = kernels


def check_finite(norm: Tensor) -> None:
    if not norm.isfinite():
        raise DivergenceError(f"the gradient norm is {float(norm)}. Nothing was changed.")


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The global norm of the gradients by torch, one number; 0 if no parameter has a gradient."""
    return get_total_norm([p.grad for p in parameters if p.grad is not None], foreach=False)


def step_by_torch(optimizer: Optimizer, norm: float, max_norm: float) -> None:
    """A step with gradients clipped as by torch.nn.utils.clip_grad_norm_; `norm` is their global norm.

    torch's fused updates divide gradients by `grad_scale` as they read them, so clipping needs no extra memory pass.
    """
    scale = (norm + TINY) / max_norm
    group = optimizer.param_groups[0]
    if group["fused"]:
        here = group["params"][0].device
        optimizer.grad_scale = torch.tensor(scale, dtype=torch.float32, device=here) if scale > 1 else None  # type: ignore[attr-defined]
    elif scale > 1:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.mul_(1 / scale)
    optimizer.step()


class KernelUpdate:
    """The update of an optimiser on our kernels, with the gradients that its parameters have now.

    `settings` has the settings of every parameter with a gradient, `tensors` the rows of tensors that the kernel takes,
    (parameter, gradient, ...). Parameters with the same settings and the same number of steps have the same factors.
    """

    def __init__(self, kind: Kind, settings: Sequence[Group], tensors: Sequence[tuple[Tensor, ...]]):
        from tidegate.engines.cpu import update

        self.kind, self.settings = kind, settings
        self.tensors: Sequence[tuple[Tensor, ...]] = tensors
        self.flat = [t for row in tensors for t in row]
        self.update = update.Update(kind.name, tensors, settings)
        self.threads = torch.get_num_threads()
        self.norm_call: update.NormCall | None = None
        self.same: Callable[..., bool] | None = None
        self.extents: list[tuple[int, int]] = []

    def renewed(self, settings: Sequence[Group], tensors: Sequence[tuple[Tensor, ...]]) -> bool:
        """Take other tensors of the same forms with the same settings; whether they are."""
        from tidegate.engines.cpu import boundary

        flat, own = [t for row in tensors for t in row], list(map(id, settings))
        if self.same is None or self.threads != torch.get_num_threads() or own != list(map(id, self.settings)):
            return False
        if len(flat) != len(self.extents) or not self.same(*flat):
            return False
        at = boundary.addresses(flat, self.extents)
        self.tensors, self.flat = tensors, flat
        self.update.place(tensors, at)
        if self.norm_call is not None:
            self.norm_call.place([row[1] for row in tensors], at[1 :: len(tensors[0])])
        return self.update.steps_agree()

    def forget(self) -> None:
        """Keep no tensor alive until the next call, only what `renewed` compares."""
        if self.same is None:
            self.same, self.extents = same_form(self.flat), [(t.itemsize, t.nbytes) for t in self.flat]
        self.tensors, self.flat, self.update.tensors = (), [], ()
        if self.norm_call is not None:
            self.norm_call.gradients = ()

    def norm(self) -> Tensor:
        """The global norm of the gradients."""
        from tidegate.engines.cpu import update

        if self.norm_call is None:
            self.norm_call = update.NormCall.of([row[1] for row in self.tensors])
        self.norm_call.kernel_call.run()
        return self.tensors[0][1].new_tensor(self.norm_call.norm.value)

    def step(self, norm: float, max_norm: float) -> None:
        """Clip and update; `norm` is the global norm."""
        scale = max_norm / (norm + TINY)
        clipped = not scale >= 1  # NaN too
        steps, factors, scale = self.update.steps, self.kind.factors, scale if clipped else 1.0
        found = [factors(scale, self.settings[i], steps[i].value if steps else 0.0) for i in self.update.first]
        self.update.run([x for own in found for x in own], clipped=clipped)
        increment_version(self.flat)


#: The last update of each optimiser by clip_and_step.
updates: WeakKeyDictionary[Optimizer, KernelUpdate] = WeakKeyDictionary()


def repeated_update(optimizer: Optimizer) -> KernelUpdate | None:
    """As `update_on_kernels`; the arguments of the kernels are those of the last call where its tensors had the same
    forms."""
    made = updates.pop(optimizer, None) if type(optimizer) in KINDS else None  # others may have no hash
    if made is not None and repeatable(optimizer, made.kind):
        found = rows(optimizer, made.kind)
        if found is not None and made.renewed(*found):
            return made
    return update_on_kernels(optimizer)


def repeatable(optimizer: Optimizer, kind: Kind) -> bool:
    """Whether the optimiser is of this kind and its step can be a repeated one. A form of tensors ignores their
    forward-mode tangents, so inside `dual_level` none is."""
    return (
        KINDS.get(type(optimizer)) is kind
        and not has_step_hooks(optimizer)
        and not in_forward_mode()
        and transforms.refuse_tensors(()) is None
    )


class RecordedUpdate:
    """The update of one optimiser in many steps, whose kernel has the addresses of all tensors. A caller checks before
    each step that the tensors in `checked` and their addresses are the same."""

    def __init__(self, optimizer: Optimizer, update: KernelUpdate, checked: Sequence[Tensor]):
        from tidegate.engines.cpu.fixed import FixedTensors

        self.optimizer, self.update, self.kind = optimizer, update, type(optimizer)
        known = set(map(id, checked))
        self.fixed = FixedTensors([t for t in update.flat if id(t) not in known])

    @classmethod
    def of(cls, optimizer: Optimizer, checked: Sequence[Tensor]) -> RecordedUpdate | None:
        """The update with the gradients of now; None where our kernels cannot make it."""
        update = update_on_kernels(optimizer)
        return None if update is None else cls(optimizer, update, checked)

    def fits(self) -> bool:
        """Whether the optimiser still makes this update, with the same tensors at the same addresses."""
        if type(self.optimizer) is not self.kind or has_step_hooks(self.optimizer):
            return False
        found, update = rows(self.optimizer, self.update.kind), self.update
        return (
            found is not None
            and list(map(id, found[0])) == list(map(id, update.settings))
            and list(map(id, chain.from_iterable(found[1]))) == list(map(id, update.flat))
            and self.fixed.unchanged()
            and update.update.steps_agree()
        )


def rows(optimizer: Optimizer, kind: Kind) -> tuple[list[Group], list[tuple[Tensor, ...]]] | None:
    """`settings` and `tensors` of a KernelUpdate; None if a group has settings that the kernel does not know, or torch
    has not made the state of the optimiser yet."""
    if not all(map(kind.is_usual, optimizer.param_groups)):
        return None
    given = [(group, p) for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    tensors = [kind.tensors(optimizer, p) for _, p in given]
    return ([group for group, _ in given], tensors) if all(tensors) else None


def update_on_kernels(optimizer: Optimizer) -> KernelUpdate | None:
    """The update on our kernels; None where they cannot make it."""
    kind = KINDS.get(type(optimizer))
    if kind is None or has_step_hooks(optimizer) or host_refuses() is not None:
        return None
    from tidegate.engines.cpu import update

    found = rows(optimizer, kind)
    if found is None or update.refuse([t for row in found[1] for t in row]) is not None:
        return None
    return KernelUpdate(kind, *found)


class Kind(NamedTuple):
    """A kind of optimiser: the name of its kernel; whether a group has settings that the kernel knows; the tensors of a
    parameter, none before torch has made its state; and the factors of its kernel, by the scale of the gradients, the
    settings, and the number of steps so far."""

    name: str
    is_usual: Callable[[Group], bool]
    tensors: Callable[[Optimizer, Tensor], tuple[Tensor, ...]]
    factors: Callable[[float, Group, float], tuple[float, ...]]


def usual_sgd(group: Group) -> bool:
    return not (group["momentum"] or group["maximize"] or group["differentiable"] or isinstance(group["lr"], Tensor))


def sgd_tensors(_: Optimizer, p: Tensor) -> tuple[Tensor, ...]:
    return (p, p.grad)  # type: ignore[return-value]


def sgd_factors(scale: float, group: Group, _: float) -> tuple[float, ...]:
    return scale, group["lr"], group["weight_decay"]


def usual_adamw(group: Group) -> bool:
    special = any(group[name] for name in ("amsgrad", "maximize", "capturable", "differentiable"))
    return not (special or any(isinstance(x, Tensor) for x in (group["lr"], *group["betas"])))


def adamw_tensors(optimizer: Optimizer, p: Tensor) -> tuple[Tensor, ...]:
    state = optimizer.state.get(p)
    return (p, p.grad, state["exp_avg"], state["exp_avg_sq"], state["step"]) if state else ()  # type: ignore[return-value]


def adamw_factors(scale: float, group: Group, steps: float) -> tuple[float, ...]:
    lr, (beta1, beta2), step = group["lr"], group["betas"], steps + 1
    return (
        scale, 1 - lr * group["weight_decay"], 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1**step),
        (1 - beta2**step) ** -0.5, group["eps"],
    )  # fmt: skip


KINDS: Mapping[type, Kind] = MappingProxyType({
    SGD: Kind(update_abi.SGD, usual_sgd, sgd_tensors, sgd_factors),
    AdamW: Kind(update_abi.ADAMW, usual_adamw, adamw_tensors, adamw_factors),
})  # fmt: skip
