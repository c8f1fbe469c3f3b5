"""The CPU engine: whole sequences in one fused kernel, compiled by LLVM from the cell's equations.

The route of a call: `run` -> `engines.autograd.differentiable` -> `launch.forward` -> `KernelCall.run` -> the kernel.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache as once
from functools import partial

import torch

from tidegate.engines import transforms
from tidegate.engines.call import Call, Result
from tidegate.engines.cpu.garbage import uncollected
from tidegate.engines.precision import ARITHMETIC, in_arithmetic, in_storage

NAME = "cpu"


def refuse(call: Call) -> str | None:
    tensors = [t for t in (call.x, *call.states, *call.weights.tensors()) if t is not None]
    if (reason := transforms.refuse(call)) is not None:
        return reason
    dtype = call.weights.w_hh.dtype
    if dtype not in ARITHMETIC:
        return f"it takes {', '.join(map(str, ARITHMETIC))}, and the weights are {dtype}"
    for t in tensors:
        if not t.is_cpu:
            return f"it runs on the CPU, and a tensor of the call is on {t.device}"
        if t.layout is not torch.strided:
            return f"it takes dense tensors, and one of the call is {t.layout}"
        if t.dtype is not dtype and not (t is call.x and call.indexed):
            return f"the weights are {dtype} and another tensor of the call is {t.dtype}"
    if call.weights.w_hr is not None:
        return "it has no projection of the output state"
    if 0 in call.x.shape or 0 in call.weights.w_ih.shape:
        return "the call is empty"
    return host_refuses()


@once
def host_refuses() -> str | None:
    """Why this machine cannot run the engine at all, or None; to find out, it imports llvmlite and the rest of the
    engine."""
    with uncollected():
        from tidegate.engines.cpu.target import host

        try:
            target = host()
        except (ImportError, OSError, RuntimeError) as error:
            return f"llvmlite does not work here ({error})"
        if target is None:
            return "it needs a processor with AVX2 and FMA, AVX-512, or NEON"
        import tidegate.engines.autograd
        import tidegate.engines.cpu.launch  # noqa: F401
    return None


def run(call: Call) -> Result:
    """The sequence, differentiable by torch to any order."""
    storage = call.weights.w_hh.dtype
    if ARITHMETIC[storage] is storage:
        return _kernels()(call if call.precision == "highest" else resolved(call))
    call = resolved(call)
    if call.recompute and not call.keep_gates:  # so that the states between stretches of steps are not rounded
        return in_storage(_kernels()(in_arithmetic(call)), storage)
    return (_kernels() if reads(call) else _kernels_of_stored())(call)


def reads(call: Call) -> bool:
    """Whether the kernels read and write the call's 16-bit numbers themselves: bfloat16 numbers, where all products are
    of pairs of them."""
    from tidegate.engines.cpu import kernels

    medium = call.weights.w_hh.dtype is torch.bfloat16 and call.precision == "medium"
    return medium and not kernels.here().matrix


def resolved(call: Call) -> Call:
    """The call with the precision that its products have here: "medium" or "highest"."""
    precision = "medium" if products_refuse(call) is None else "highest"
    return call if precision == call.precision else replace(call, precision=precision)


def products_refuse(call: Call) -> str | None:
    """Why the products of the call are not of bfloat16 numbers, as the end of a sentence; None if they are."""
    from tidegate.engines.cpu import kernels

    storage = call.weights.w_hh.dtype
    if ARITHMETIC[storage] is not torch.float32 or storage is torch.float16:
        return f"the weights are {storage}"
    if call.precision == "highest" and storage is torch.float32:
        return "torch.set_float32_matmul_precision is at its default, highest"
    if not kernels.here().pairs:
        return "this processor does not multiply bfloat16 numbers (AVX512-BF16)"
    if call.precision == "high" and storage is torch.float32:
        return "the precision high has no kernels of its own: three bfloat16 products take longer without a matrix unit"
    return None


@once
def _kernels() -> Callable[[Call], Result]:
    """The call on the kernels, which are imported when the first is run."""
    from tidegate.engines.autograd import differentiable
    from tidegate.engines.cpu import launch

    return partial(differentiable, kernels=launch)


@once
def _kernels_of_stored() -> Callable[[Call], Result]:
    """The call on the kernels, its 16-bit tensors converted for each pass."""
    from tidegate.engines.autograd import differentiable
    from tidegate.engines.cpu import stored

    return partial(differentiable, kernels=stored)
