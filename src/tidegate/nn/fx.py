"""torch.fx: a layer is a leaf of the traced graph, as the layers of torch.nn are."""

from typing import Any

from torch import nn
from torch.fx import Proxy

from tidegate.errors import ArgumentError


def as_leaf(module: nn.Module, input: Proxy, hx: Any = None, **options: Any) -> Proxy:
    """The `call_module` node of a module that torch.fx.symbolic_trace called with a Proxy.

    By default torch.fx treats only modules defined in torch.nn as leaves.
    """
    tracer: Any = input.tracer
    path = tracer.path_of_module(module)
    if not path:
        raise ArgumentError(
            f"{type(module).__name__} cannot be traced by torch.fx on its own, because it is a leaf of the graph. "
            "Trace a module that contains it."
        )
    given = {name: value for name, value in options.items() if value is not None}
    return tracer.create_proxy("call_module", path, (input,) if hx is None else (input, hx), given)
