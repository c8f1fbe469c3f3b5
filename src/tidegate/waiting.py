"""How long PyTorch's OpenMP threads spin for each other before they sleep: shorter, unless the user has set it.

GNU's OpenMP reads GOMP_SPINCOUNT once, when torch loads it. Its own default, 300,000 turns, keeps a core busy for
milliseconds whenever another program holds the core of a thread that is waited for. A training step of 6 ms (GRU, 256
units, 2 threads on 2 cores) takes 22 to 80 ms beside one busy program a core; with 12,000 turns it takes 13 to 15, and
on an idle machine a few hundredths more than before. Far fewer turns would help it more, and cost torch.nn's own layers
a fifth of their speed on an idle machine.

The variable is set while torch is imported and removed again, so that child processes do not inherit it. Where torch is
loaded already, or the user has set GOMP_SPINCOUNT or OMP_WAIT_POLICY, nothing changes: so `import tidegate` goes before
`import torch`.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

SPINS = "12000"


@contextmanager
def short_spins() -> Iterator[None]:
    """GOMP_SPINCOUNT in the environment of this process, where it may be set."""
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)


class TorchLoader(Loader):
    """The loader of torch, which executes the module with short spins and otherwise is the loader it is given."""

    def __init__(self, loader: Loader):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with short_spins():
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)


class TorchFinder(MetaPathFinder):
    """Finds torch where the other finders do."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torch" or fullname in sys.modules:
            return None
        others = [f for f in sys.meta_path if hasattr(f, "find_spec") and not isinstance(f, TorchFinder)]
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = TorchLoader(spec.loader)
        return spec


if "torch" not in sys.modules:
    sys.meta_path.insert(0, TorchFinder())
