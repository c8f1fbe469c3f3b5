"""A student's function: found in its file, called with copies of the arrays, and its answer checked."""

import contextlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from tidegate.engines.reference.functions import Array
from tidegate.errors import ArgumentError, did_you_mean

Function = Callable[[dict[str, Array]], Mapping[str, Any]]


def load_function(spec: str) -> Function:
    """The function of FILE.py:FUNCTION. The file is executed; it can import files of its own folder."""
    name, colon, function = spec.rpartition(":")
    path = Path(name)
    if not colon or path.suffix != ".py" or not function.isidentifier():
        raise ArgumentError(f"`student` must be FILE.py:FUNCTION, got {spec!r}.")
    if not path.is_file():
        raise ArgumentError(f"`student` {spec!r}: there is no file {path}.")
    module_name = f"tidegate_student.{path.stem}"
    found = importlib.util.spec_from_file_location(module_name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module  # a dataclass looks for its module there
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a student's file can raise anything
        raise ArgumentError(f"`student`: {path} cannot be imported: {described(error, path)}.") from error
    finally:
        sys.path.remove(folder)
        del sys.modules[module_name]
    answer: Any = getattr(module, function, None)
    if callable(answer):
        return cast(Function, answer)
    if answer is not None:
        raise ArgumentError(f"`student`: {function} of {path} is not a function, but {type(answer).__name__}.")
    own = [name for name, value in vars(module).items() if inspect.isfunction(value)]
    raise ArgumentError(f"`student`: {path} has no function {function}.{did_you_mean(function, own)}")


def described(error: BaseException, path: Path | None) -> str:
    """The type and message of an exception, and the line of the file in which it was raised."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if path and Path(frame.filename) == path
    ]
    if isinstance(error, SyntaxError) and error.lineno:
        lines = [error.lineno]
    text = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}".rstrip(": ")
    return f"{text} (line {lines[-1]})" if lines else text


def ask(function: Function, arrays: Mapping[str, Array], known: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays that the function returns, whatever their shapes and values, in float64 or their own precision.

    `known` has the names that it may return. What it prints goes to the standard error. Raises ArgumentError where it
    raises, or returns anything but a dictionary of arrays under known names.
    """
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            answer = function({name: array.copy() for name, array in arrays.items()})
    except (Exception, SystemExit) as error:  # a student's function can raise anything
        raise ArgumentError(f"`student`: the function raised {described(error, file and Path(file))}.") from error
    if not isinstance(answer, Mapping):
        raise ArgumentError(
            f"`student`: the function must return a dictionary of gradients by name, such as {{'dx': ...}}, "
            f"got {type(answer).__name__}."
        )
    found: dict[str, Array] = {}
    for name, value in answer.items():
        if name not in known:
            raise ArgumentError(
                f"`student`: the function returned {name!r}, which is no gradient of this cell. Known: "
                f"{', '.join(known)}.{did_you_mean(name, known)}"
            )
        found[name] = as_array(name, value)
    if not found:
        raise ArgumentError(f"`student`: the function returned an empty dictionary. Known: {', '.join(known)}.")
    return found


def as_array(name: str, value: Any) -> Array:
    several = isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in value)
    if several or isinstance(value, Tensor):
        got = "a list of torch.Tensors" if several else "a torch.Tensor"
        raise ArgumentError(f"`student`: {name} must be a NumPy array, got {got}. Return {name}.detach().numpy().")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ArgumentError(f"`student`: {name} must be one array of numbers; its rows differ in shape.") from error
    if array.dtype.kind not in "fiu":
        got = f"dtype {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise ArgumentError(f"`student`: {name} must be an array of real numbers, got {got}.")
    return array if array.dtype == np.float32 else array.astype(np.float64)
