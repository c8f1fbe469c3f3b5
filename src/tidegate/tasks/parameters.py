"""The parameters of a task: their types and ranges."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from tidegate.errors import ArgumentError, ArgumentTypeError, did_you_mean

_SPELLED = {int: "an integer", float: "a number", str: "text"}


def check_types(task: object) -> None:
    """Raise ArgumentTypeError where a field of `task` (a dataclass) does not have the type that it declares."""
    for name, kind in declared(type(task)).items():
        value = getattr(task, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {int: number and isinstance(value, int), float: number, str: isinstance(value, str)}
        if not fits.get(kind, True):
            raise ArgumentTypeError(f"`{name}` must be {_SPELLED[kind]}, got {value!r}.")


def check_range(task: object, name: str, least: float, most: float | None = None) -> None:
    """Raise ArgumentError unless least <= the field `name` of `task` <= most."""
    value = getattr(task, name)
    if value >= least and (most is None or value <= most):
        return
    expected = f"at least {least}" if most is None else f"{least} to {most}"
    raise ArgumentError(f"`{name}` must be {expected}, got {value}.")


def check_choice(task: object, name: str, choices: Sequence[str]) -> None:
    """Raise ArgumentError unless the field `name` of `task` is one of `choices`."""
    value = getattr(task, name)
    if value not in choices:
        raise ArgumentError(
            f"`{name}` must be one of {', '.join(choices)}, got {value!r}.{did_you_mean(value, choices)}"
        )


def declared(kind: type) -> Mapping[str, Any]:
    """The types of the parameters of a task by name; none where the class is not a dataclass."""
    if not dataclasses.is_dataclass(kind):
        return {}
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def parsed(kind: type, task: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """`parameters` with text converted to the type that the class `kind` of the task named `task` declares.

    Raises ArgumentError for a parameter that the task does not have, and for text that is not a number of that type.
    """
    known = declared(kind)
    found = {}
    for name, value in parameters.items():
        if name not in known:
            listed = f"its parameters are {', '.join(known)}" if known else "it has no parameters"
            raise ArgumentError(f"the task {task} has no parameter `{name}`: {listed}.{did_you_mean(name, known)}")
        if isinstance(value, str) and known[name] in (int, float):
            try:
                value = known[name](value)
            except ValueError:
                raise ArgumentError(f"`{name}` must be {_SPELLED[known[name]]}, got {value!r}.") from None
        found[name] = value
    return found
