"""What an engine that reads memory cannot take: tensors that stand for others, or that carry a tangent."""

import torch
from torch import Tensor, nn
from torch._C._functorch import maybe_current_level
from torch.autograd import forward_ad


def transform(tensors: list[Tensor]) -> str | None:
    """Which torch.func transform, forward-mode derivative or tensor subclass is at work, None if none is."""
    if maybe_current_level() is not None:
        return "a torch.func transform (grad, jvp, vmap) is at work"
    if forward_ad._current_level >= 0 and any(forward_ad.unpack_dual(t).tangent is not None for t in tensors):
        return "a tensor of the call carries a forward-mode tangent"
    for t in tensors:
        if type(t) is not Tensor and type(t) is not nn.Parameter:
            return f"it takes plain tensors, and one of the call is a {type(t).__name__}"
    if torch._C._len_torch_dispatch_stack():
        return "a torch dispatch mode (such as FakeTensorMode) watches every operation"
    return None
