"""Constructor arguments, checked: what torch.nn accepts is accepted and stored as int, bool or float."""

import numbers
import operator
from typing import Any

import numpy as np
import torch

from tidegate.engines.choose import NAMES
from tidegate.errors import ArgumentError, ArgumentTypeError

Device = torch.device | str | int | None


def layer_arguments(
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    batch_first: bool,
    dropout: float,
    bidirectional: bool,
) -> dict[str, Any]:
    """The arguments that all layers share, by name; ArgumentError or ArgumentTypeError for the first bad one."""
    return {
        "input_size": as_size("input_size", input_size),
        "hidden_size": as_size("hidden_size", hidden_size),
        "num_layers": as_size("num_layers", num_layers),
        "bias": as_flag("bias", bias),
        "batch_first": as_flag("batch_first", batch_first),
        "dropout": as_probability("dropout", dropout),
        "bidirectional": as_truth("bidirectional", bidirectional),
    }


def as_size(name: str, size: Any, *, smallest: int = 1) -> int:
    """An integer of any library, such as numpy.int64."""
    try:
        found = operator.index(size)
    except TypeError:
        raise ArgumentTypeError(f"`{name}` must be an integer >= {smallest}, got {size!r}.") from None
    if found < smallest:
        raise ArgumentError(f"`{name}` must be an integer >= {smallest}, got {size!r}.")
    return found


def as_flag(name: str, flag: Any) -> bool:
    """True or False, of Python or NumPy."""
    if not isinstance(flag, (bool, np.bool_)):
        raise ArgumentTypeError(f"`{name}` must be True or False, got {flag!r}.")
    return bool(flag)


def as_truth(name: str, flag: Any) -> bool:
    """bool(flag), as in torch.nn; ArgumentTypeError for a string, because bool("False") is True."""
    if isinstance(flag, str):
        raise ArgumentTypeError(f"`{name}` must be True or False, got {flag!r}.")
    return bool(flag)


def as_probability(name: str, p: Any) -> float:
    if isinstance(p, bool) or not isinstance(p, numbers.Real):
        raise ArgumentTypeError(f"`{name}` must be a number in 0..1, got {p!r}.")
    if not 0 <= float(p) <= 1:
        raise ArgumentError(f"`{name}` must be a number in 0..1, got {p!r}.")
    return float(p)


def as_engine(engine: Any) -> str:
    if engine not in NAMES:
        raise ArgumentError(f"`engine` must be one of {', '.join(NAMES)}, got {engine!r}.")
    return engine


def check_no_projection(layer: str, proj_size: Any) -> None:
    if proj_size:
        raise ArgumentError(f"`proj_size` of {layer} must be left out, got {proj_size!r}: only LSTM has a projection.")


def check_choice(layer: str, name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        allowed = " or ".join(f'"{choice}"' for choice in choices)
        raise ArgumentError(f"`{name}` of {layer} must be {allowed}, got {value!r}.")
