"""Running a function without torch.compile. Importing this file loads the compiler, so only a program that uses
torch.compile imports it."""

from collections.abc import Callable
from typing import Any

import torch


@torch.compiler.disable(reason="Tidegate runs this layer outside of the compiled program")
def uncompiled(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What `function` returns; torch.compile traces neither it nor the functions that it calls."""
    return function(*arguments, **options)
