"""Every name of torch that Tidegate uses and that torch does not document.

Such names may change in any release, so pyproject.toml admits only the releases that are tested, and this file is the
only one that imports them.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

#: The releases of torch that Tidegate is tested with, as in pyproject.toml.
TESTED = "torch>=2.13,<2.14"

try:
    from torch._C import (
        DispatchKey,
        _dispatch_keys,
        _get_fp32_precision_getter,
        _len_torch_dispatch_stack,
        _SetExcludeDispatchKeyGuard,
    )
    from torch._C._autograd import _top_saved_tensors_default_hooks
    from torch._C._dynamo.eval_frame import get_eval_frame_callback
    from torch._C._dynamo.guards import TensorGuards
    from torch._C._functorch import maybe_current_level
    from torch.autograd import forward_ad
    from torch.autograd.grad_mode import _unsafe_preserve_version_counter
    from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

    forward_ad._current_level  # noqa: B018  a missing name is reported here
except (ImportError, AttributeError) as error:
    raise ImportError(
        f"Tidegate is tested with {TESTED}, and torch {torch.__version__} lacks a name that it uses ({error}). "
        f"Install a tested release: pip install '{TESTED}'."
    ) from error

#: `compiler_callback()` is None unless the program runs inside a function of torch.compile, which tries to compile
#: every Python function that is called there. It is not wrapped here: torch.compile would try to compile the wrapper.
compiler_callback = get_eval_frame_callback


def float32_products() -> str:
    """torch.backends.mkldnn.matmul.fp32_precision, read in a tenth of the time: "bf16", "tf32", "ieee" or "none"."""
    return _get_fp32_precision_getter("mkldnn", "matmul")


def in_functorch_transform() -> bool:
    """Whether a torch.func transform (grad, jvp, vmap, functionalize) is active."""
    return maybe_current_level() is not None


def in_jit_trace() -> bool:
    """Whether torch.jit.trace records the operations."""
    return torch.jit.is_tracing()  # type: ignore[attr-defined]


def in_dispatch_mode() -> bool:
    """Whether a TorchDispatchMode, such as FakeTensorMode, receives every operation."""
    return _len_torch_dispatch_stack() > 0


def in_forward_mode() -> bool:
    """Whether the program is inside torch.autograd.forward_ad.dual_level."""
    return forward_ad._current_level >= 0


def in_saved_tensor_hooks() -> bool:
    """Whether hooks receive the tensors that torch's graph saves, as in torch.utils.checkpoint."""
    return _top_saved_tensors_default_hooks(False) is not None


def dispatch_keys(tensor: torch.Tensor) -> int:
    """The dispatch keys of a tensor, one bit each: its device and layout, and every wrapper or flag it has."""
    return _dispatch_keys(tensor).raw_repr()


def has_step_hooks(optimizer: torch.optim.Optimizer) -> bool:
    """Whether `optimizer.step` calls functions that were registered for it, or is wrapped, as learning rate schedulers
    do."""
    own = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    everyone = _global_optimizer_pre_hooks or _global_optimizer_post_hooks
    return bool(own or everyone or "step" in vars(optimizer))


def names_of_keys(tensor: torch.Tensor) -> str:
    """The dispatch keys of a tensor as torch prints them, separated by commas."""
    return str(_dispatch_keys(tensor)).partition("(")[2].rstrip(")")


def constant_in_program(function: Callable[..., Any]) -> Callable[..., Any]:
    """As torch.compiler.assume_constant_result, which would load the compiler: torch.compile treats what the function
    returns as a constant."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def recording() -> AbstractContextManager[None]:
    """A context in which autograd records operations, also inside the implementation of an operator, where torch
    switches it off; use it with torch.enable_grad()."""
    return _SetExcludeDispatchKeyGuard(DispatchKey.AutogradFunctionality, False)


def same_version(tensor: torch.Tensor):
    """A context in which an in-place change of a tensor's sizes and strides does not count as a new version of it,
    because none of its elements changes."""
    return _unsafe_preserve_version_counter(tensor)


def apply_of(function: type[torch.autograd.Function]) -> Callable[..., Any]:
    """`function.apply` for plain tensors outside transforms of torch.func, without its preparation for the others."""
    return super(torch.autograd.Function, function).apply  # type: ignore[misc]


def same_form(tensors: Sequence[torch.Tensor]) -> Callable[..., bool]:
    """A function that tells whether its arguments have the form that `tensors` have now, one by one: class, dtype,
    device, layout, sizes, strides, dispatch keys with those that torch's present modes add or exclude, and whether it
    requires a gradient. It is False where one tensor is given twice."""
    sizes: Any = [list(t.shape) for t in tensors]
    strides: Any = [list(t.stride()) for t in tensors]
    return TensorGuards(*tensors, dynamic_dims_sizes=sizes, dynamic_dims_strides=strides).check
