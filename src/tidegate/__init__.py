"""Tidegate: gated recurrent networks on PyTorch, from equations written once.

    layer = tidegate.GRU(input_size, hidden_size)        # in place of torch.nn.GRU
    tidegate.why(layer, x)                               # which engine runs it, and why the others do not
    tidegate.Recurrent(MyCell, input_size, hidden_size)  # a layer of your own cell
    tidegate.verify(MyCell)                              # its gradients, compared with independent computations
    tidegate.derive(MyCell)                              # its gradients, as mathematics: .render("html")

`tidegate.cells` holds the equations; see `tidegate.Cell` for how to write your own.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tidegate.loading import around_torch
from tidegate.waiting import short_spins

__version__ = "0.1.0"


def _register_operators() -> None:
    """Import the engines, which register the operators of compiled programs: torch.export.load looks for them."""
    if "tidegate.engines" not in sys.modules:  # it may be importing torch itself
        import_module("tidegate.engines")


@contextmanager
def _import_of_torch() -> Iterator[None]:
    with short_spins():
        yield
    _register_operators()


if "torch" in sys.modules:
    _register_operators()
around_torch(_import_of_torch)

if TYPE_CHECKING:
    from tidegate.public import *  # noqa: F403
else:
    # The folders that dir() lists beside the public names.
    _FOLDERS = ("cells", "nn", "tasks")

    def __getattr__(name: str) -> object:
        """A public name or a folder of the package, imported at its first use: most of them import torch, which
        would make `tidegate --help` slow."""
        if name == "__all__" or not name.startswith("_"):
            if find_spec(f"tidegate.{name}"):
                return import_module(f"tidegate.{name}")
            public = import_module("tidegate.public")
            globals().update({known: getattr(public, known) for known in public.__all__}, __all__=public.__all__)
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module 'tidegate' has no attribute {name!r}")

    def __dir__() -> list[str]:
        special = {name for name in globals() if name.startswith("__")}
        return sorted({*special, *_FOLDERS, *import_module("tidegate.public").__all__})
