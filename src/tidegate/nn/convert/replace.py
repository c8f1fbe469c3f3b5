"""Replaces the recurrent layers of a model by twins (subclasses) and back, and reports those that cannot be replaced.

A module stays the same object with the same parameters, buffers, hooks and names; its class changes. So optimisers,
tied modules and parametrizations keep working.
"""

import inspect
import types
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from tidegate.nn.arguments import as_engine, as_flag
from tidegate.nn.cells import CellModule
from tidegate.nn.convert.torch import CELLS, LAYERS
from tidegate.nn.layer import CellLayer
from tidegate.notebook import Bad, output, paragraph, table

Model = TypeVar("Model", bound=nn.Module)
TWINS: Mapping[type[nn.Module], type[nn.Module]] = MappingProxyType(LAYERS | CELLS)
NAMES = tuple(kind.__name__ for kind in TWINS)
# Attributes that a twin has and torch.nn's class lacks.
OURS = ("cell", "engine", "recompute", "gate_parameters")
# Methods that torch.nn's forward calls and a twin's does not.
UNCALLED = ("check_input", "check_forward_args", "check_hidden_size", "get_expected_hidden_size", "permute_hidden")


@dataclass(frozen=True)
class Replacement:
    """A recurrent module of a model: its name in the model ("" for the model itself), its class, and the reason why it
    cannot be replaced, None if it can."""

    name: str
    kind: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.name or 'the model itself'} ({self.kind}): {self.reason or 'can be replaced'}"


class Replacements(tuple[Replacement, ...]):
    """What `replace_layers` would do with each recurrent module of a model; one line each when printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(map(str, self))

    def _repr_html_(self) -> str:
        rows = [
            (each.name or "the model itself", each.kind, Bad(each.reason) if each.reason else "can be replaced")
            for each in self
        ]
        return output(
            table(("module", "class", "replacement"), rows) if rows else paragraph("no recurrent module of torch.nn")
        )


def replacements(model: nn.Module) -> Replacements:
    """What `replace_layers(model)` would do with each recurrent module of torch.nn in `model`. Changes nothing."""
    return Replacements(
        Replacement(name, type(module).__name__, found if isinstance(found, str) else None)
        for name, module in model.named_modules()
        if (found := twin_class(module)) is not None
    )


def replace_layers(model: Model, *, engine: str = "auto", recompute: bool = False) -> Model:
    """`model`, with every torch.nn.RNN, GRU, LSTM and cell in it replaced by its twin, in place; layers, not cells,
    with `recompute` (see CellLayer).

    Subclasses are replaced too if their `forward` is torch.nn's or calls super().forward(...); they stay instances of
    their class. A warning names what could not be replaced, with the reason, or says that nothing was found;
    `replacements(model)` lists it beforehand.
    """
    engine, recompute = as_engine(engine), as_flag("recompute", recompute)
    for module in list(model.modules()):
        twin = twin_class(module)
        if isinstance(twin, type):
            become(module, twin, {"engine": engine} | ({"recompute": recompute} if issubclass(twin, CellLayer) else {}))
    left = replacements(model)
    if left:
        warnings.warn(f"replace_layers did not replace {'; '.join(map(str, left))}.", stacklevel=2)
    elif not any(isinstance(module, (CellLayer, CellModule)) for module in model.modules()):
        warnings.warn(
            f"replace_layers found no recurrent layer in {type(model).__name__}: none of {', '.join(NAMES)} of "
            "torch.nn.",
            stacklevel=2,
        )
    return model


def restore_layers(model: Model) -> Model:
    """`model`, with every twin in it turned back into the layer or cell of torch.nn, in place.

    For tools that accept only torch.nn's exact classes, such as torch.ao.quantization.quantize_dynamic. A warning names
    the layers that torch.nn does not have.
    """
    left = []
    for name, module in model.named_modules():
        if not isinstance(module, (CellLayer, CellModule)):
            continue
        plain = torch_class(type(module))
        if plain is None:
            left.append(f"{name or 'the model itself'} ({type(module).__name__})")
            continue
        for attribute in ("engine", "recompute"):
            module.__dict__.pop(attribute, None)
        become(module, plain, {})
    if left:
        warnings.warn(f"restore_layers left {', '.join(left)}: torch.nn has no such class.", stacklevel=2)
    return model


def become(module: Any, kind: type[nn.Module], attributes: Mapping[str, Any]) -> None:
    """Change the class of a module in place."""
    module.__class__ = kind
    for name, value in attributes.items():
        setattr(module, name, value)


def twin_class(module: nn.Module) -> type[nn.Module] | str | None:
    """The class that replaces the module's; or the reason why there is none; None if it is no module of torch.nn."""
    kind = type(module)
    if isinstance(module, (CellLayer, CellModule)):
        return None
    if isinstance(module, torch.jit.ScriptModule):
        return "it is compiled by TorchScript" if module.original_name in NAMES else None
    if not isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        quantized = kind.__module__.startswith("torch.ao.nn") and kind.__name__ in NAMES
        return "it is a layer of torch.ao.nn, for quantization" if quantized else None
    if kind in TWINS:
        return TWINS[kind]
    if is_parametrized(module):
        base = kind.__bases__[0]
        twin = TWINS.get(base) or subclass_twin(base, module)
        return with_base(kind, twin) if isinstance(twin, type) else twin
    return subclass_twin(kind, module)


def subclass_twin(kind: type[nn.Module], module: nn.Module) -> type[nn.Module] | str:
    """The twin of a subclass of torch.nn's classes, or the reason why there is none."""
    plain = next((base for base in kind.__mro__ if base in TWINS), None)
    if plain is None:
        return f"it is not an instance of {', '.join(NAMES)}"
    own = kind.__mro__[: kind.__mro__.index(plain)]
    taken = [name for name in OURS if hasattr(module, name)]
    if taken:
        return f"it has an attribute `{taken[0]}` of its own, which the replacement needs"
    changed = [name for name in UNCALLED if any(name in vars(base) for base in own)]
    if changed:
        return f"it overrides {changed[0]}(), which the replacement does not call"
    if not all(calls_super(vars(base)["forward"]) for base in own if "forward" in vars(base)):
        return "it overrides forward() without calling super().forward()"
    try:
        return joined(kind, TWINS[plain])
    except TypeError as error:  # from Python, if the base classes are incompatible
        return f"its class cannot be combined with the replacement ({error})"


def calls_super(forward: Any) -> bool:
    """Whether the code of a method contains super().forward."""
    code = getattr(inspect.unwrap(forward), "__code__", None)
    return code is not None and {"super", "forward"} <= set(code.co_names)


@cache
def joined(kind: type[nn.Module], twin: type[nn.Module]) -> type[nn.Module]:
    """A subclass of both, in which the super() of `kind` is the twin."""

    def reduce(self: nn.Module, protocol: int) -> Any:
        make, arguments, *state = super(made, self).__reduce_ex__(protocol)
        return (new, (kind, twin), *state) if arguments == (made,) else (make, arguments, *state)

    body = {"__reduce_ex__": reduce, "__module__": kind.__module__, "__doc__": kind.__doc__, "_original": kind}
    made = types.new_class(kind.__name__, (kind, twin), exec_body=lambda namespace: namespace.update(body))
    return made


def new(kind: type[nn.Module], twin: type[nn.Module]) -> nn.Module:
    """An empty module of `joined(kind, twin)`, for pickle and copy."""
    found = joined(kind, twin)
    return found.__new__(found)


def with_base(parametrized: type[nn.Module], base: type[nn.Module]) -> type[nn.Module]:
    """The class that torch.nn.utils.parametrize made, on another base."""
    body = {name: value for name, value in vars(parametrized).items() if name not in ("__dict__", "__weakref__")}
    return type(parametrized.__name__, (base,), body)


def torch_class(kind: type[nn.Module]) -> type[nn.Module] | None:
    """The class that `kind` replaced, None if there is none."""
    back: dict[type[nn.Module], type[nn.Module]] = {twin: plain for plain, twin in TWINS.items()}
    if kind in back:
        return back[kind]
    if "_original" in vars(kind):
        return vars(kind)["_original"]
    if kind.__name__.startswith("Parametrized") and (base := torch_class(kind.__bases__[0])) is not None:
        return with_base(kind, base)
    return None
