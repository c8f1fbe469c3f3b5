"""Two number types of a call: storage, that of the caller's tensors, and arithmetic, that in which kernels compute.
And the precision of matrix products of float32 numbers, which torch's switches set.

For float32 and float64 both types are the same. half and bfloat16 are storage types only: the gates and states of a
sequence are computed in float32, so that rounding errors do not add up over the steps, and results are rounded once.
Matrix products of a call in bfloat16 have the precision "medium", those of a call in half "highest".
"""

from dataclasses import replace

import torch

from tidegate.engines.call import Call, Result, Weights
from tidegate.engines.torch_private import constant_in_program, float32_products

#: The arithmetic type of each storage type.
ARITHMETIC = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
}


#: The precision of matrix products in the words of torch.set_float32_matmul_precision, from those of torch.backends.
PRECISION = {"bf16": "medium", "tf32": "high"}


@constant_in_program
def asked() -> str:
    """The precision of matrix products that torch's switches set now: "medium" inside torch.autocast("cpu",
    torch.bfloat16), otherwise that of torch.set_float32_matmul_precision or torch.backends.mkldnn.matmul. A compiled
    or exported program keeps the precision with which it was made."""
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16:
        return "medium"
    return PRECISION.get(float32_products(), "highest")


def in_arithmetic(call: Call) -> Call:
    """The call with its tensors in the arithmetic type; torch differentiates through the conversion."""
    kind = ARITHMETIC[call.weights.w_hh.dtype]
    return replace(
        call,
        x=call.x if call.indexed else call.x.to(kind),
        states=tuple(s.to(kind) for s in call.states),
        weights=Weights(*(None if w is None else w.to(kind) for w in call.weights.tensors())),  # type: ignore[arg-type]
    )


def in_storage(result: Result, storage: torch.dtype) -> Result:
    """The result with its tensors in the storage type."""
    return Result(
        result.outputs.to(storage),
        tuple(s.to(storage) for s in result.states),
        {name: t.to(storage) for name, t in result.sequences.items()},
        {name: t.to(storage) for name, t in result.gates.items()},
    )
