"""Tidegate: gated recurrent networks on PyTorch, from equations written once.

    layer = tidegate.GRU(input_size, hidden_size)      # takes the place of torch.nn.GRU
    tidegate.why(layer, x)                             # which engine runs it, and why the others do not
    tidegate.Recurrent(MyCell, input_size, hidden_size)  # a cell of your own
    tidegate.verify(MyCell)                            # its gradients, against every oracle there is
    tidegate.derive(MyCell)                            # its gradients, as mathematics: .render("html")

`tidegate.cells` holds the equations; see `tidegate.Cell` for how to write your own.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import tidegate.waiting  # noqa: F401  before anything loads torch

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tidegate.public import *  # noqa: F403
else:

    def __getattr__(name: str) -> object:
        """A public name or a folder of the package, imported when it is first asked for: with most of them comes torch,
        and `tidegate --help` should not wait for it."""
        if name == "__all__" or not name.startswith("_"):
            if find_spec(f"tidegate.{name}"):
                return import_module(f"tidegate.{name}")
            public = import_module("tidegate.public")
            globals().update({known: getattr(public, known) for known in public.__all__}, __all__=public.__all__)
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module 'tidegate' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *import_module("tidegate.public").__all__})
