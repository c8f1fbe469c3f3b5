"""Two number types of a call: storage, that of the caller's tensors, and arithmetic, that in which kernels compute.

For float32 and float64 both are the same. half and bfloat16 are storage types only: the products, gates and states of
a sequence are computed in float32, so that rounding errors do not add up over the steps, and results are rounded once.
"""

from dataclasses import replace

import torch

from tidegate.engines.call import Call, Result, Weights

#: The arithmetic type of each storage type.
ARITHMETIC = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
}


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
