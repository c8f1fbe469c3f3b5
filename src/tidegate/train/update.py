"""Clipping and update: the global norm of the gradients, and the optimiser's step with gradients of at most that norm.

On the CPU our kernels read the gradients once for the norm and once for the update; everywhere else it is torch's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import SGD, AdamW, Optimizer

from tidegate.engines.cpu import update
from tidegate.engines.torch_private import has_step_hooks
from tidegate.errors import ArgumentError, DivergenceError

TINY = 1e-6  # is added to the norm, as in clip_grad_norm_


def clip_and_step(optimizer: Optimizer, max_norm: float, *, error_if_nonfinite: bool = False) -> Tensor:
    """torch.nn.utils.clip_grad_norm_ on all parameters of the optimiser, then `optimizer.step()`, in fewer passes.

        norm = sqrt(sum of g^2 over all gradients)      g <- g min(1, max_norm / (norm + 1e-6))

    Returns the norm before clipping, a tensor with one number. If it is NaN or infinite, the parameters become NaN or
    infinite, as with torch; with `error_if_nonfinite` a DivergenceError is raised instead, and nothing is changed.

    For torch.optim.SGD without momentum and AdamW in their usual form, with dense float32 or float64 parameters on the
    CPU, our kernels compute it, equal to torch's up to rounding; the state of the optimiser is torch's. With hooks, a
    learning rate scheduler, other optimisers and on other devices, torch's own functions are called.
    """
    if not max_norm > 0:
        raise ArgumentError(f"`max_norm` must be a positive number, got {max_norm}.")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = gradient_norm(parameters)
    if error_if_nonfinite and not norm.isfinite():
        raise DivergenceError(f"the gradient norm is {float(norm)}. Nothing was changed.")
    if not (norm.is_cpu and step_on_kernels(optimizer, float(norm), max_norm)):
        clip_grads_with_norm_(parameters, max_norm, norm)
        optimizer.step()
    return norm


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The global norm of the gradients, one number; 0 if no parameter has a gradient."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if update.refuse(gradients) is None:
        return torch.tensor(update.norm(gradients), dtype=gradients[0].dtype)
    return get_total_norm(gradients, foreach=False)


def step_clipped(optimizer: Optimizer, norm: float, clip: float) -> None:
    """A step with gradients clipped as by torch.nn.utils.clip_grad_norm_; `norm` is their global norm.

    Where our kernels cannot run, torch's fused updates divide gradients by `grad_scale` as they read them, so clipping
    needs no extra pass there either.
    """
    if step_on_kernels(optimizer, norm, clip):
        return
    scale = (norm + TINY) / clip
    group = optimizer.param_groups[0]
    if group["fused"]:
        here = group["params"][0].device
        optimizer.grad_scale = torch.tensor(scale, dtype=torch.float32, device=here) if scale > 1 else None  # type: ignore[attr-defined]
    elif scale > 1:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.mul_(1 / scale)
    optimizer.step()


def step_on_kernels(optimizer: Optimizer, norm: float, max_norm: float) -> bool:
    """A clipped step on our kernels; False, with nothing done, where they cannot make it."""
    rows_of = KINDS.get(type(optimizer))
    if rows_of is None or has_step_hooks(optimizer):
        return False
    scale = max_norm / (norm + TINY)
    clipped = not scale >= 1  # NaN too
    tensors, factors = [], []
    for group in optimizer.param_groups:
        given = [p for p in group["params"] if p.grad is not None]
        found = rows_of(optimizer, group, given, scale if clipped else 1.0)
        if found is None:
            return False
        tensors += found[0]
        factors += found[1]
    flat = [t for row in tensors for t in row]
    if update.refuse(flat) is not None:
        return False
    run = update.sgd if type(optimizer) is SGD else update.adamw
    run(tensors, factors, clipped=clipped)
    increment_version(flat)
    return True


Rows = tuple[list[tuple[Tensor, ...]], list[tuple[float, ...]]]


def sgd_rows(_: Optimizer, group: dict[str, Any], parameters: Sequence[Tensor], scale: float) -> Rows | None:
    """The tensors of a group for the kernel of SGD, with their factors; None for settings that it does not have."""
    if group["momentum"] or group["maximize"] or group["differentiable"] or isinstance(group["lr"], Tensor):
        return None
    factors = scale, group["lr"], group["weight_decay"]
    return [(p, p.grad) for p in parameters if p.grad is not None], [factors] * len(parameters)


def adamw_rows(optimizer: Optimizer, group: dict[str, Any], parameters: Sequence[Tensor], scale: float) -> Rows | None:
    """As `sgd_rows`, for AdamW; None also before torch has made the averages, in the first step."""
    lr, (beta1, beta2) = group["lr"], group["betas"]
    unusual = ("amsgrad", "maximize", "capturable", "differentiable")
    if any(group[name] for name in unusual) or any(isinstance(x, Tensor) for x in (lr, beta1, beta2)):
        return None
    tensors, factors = [], []
    for p in parameters:
        state = optimizer.state[p]
        if not state:
            return None
        tensors.append((p, p.grad, state["exp_avg"], state["exp_avg_sq"], state["step"]))
        step = float(state["step"]) + 1
        factors.append((
            scale, 1 - lr * group["weight_decay"], 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1**step),
            (1 - beta2**step) ** -0.5, group["eps"],
        ))  # fmt: skip
    return tensors, factors


KINDS: Mapping[type, Callable[..., Rows | None]] = MappingProxyType({SGD: sgd_rows, AdamW: adamw_rows})
