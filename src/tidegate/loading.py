"""What happens when torch is imported: `import tidegate` itself does not import it, which takes a second or more.

`around_torch(context)` enters the context before torch is loaded and leaves it afterwards; it does nothing if torch is
loaded already.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Context = Callable[[], AbstractContextManager[None]]


class TorchLoader(Loader):
    """The loader of torch: executes the module inside the context, and leaves the rest to the loader it is given."""

    def __init__(self, loader: Loader, context: Context):
        self._loader, self._context = loader, context

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with self._context():
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)


class TorchFinder(MetaPathFinder):
    """Finds torch by means of the other finders, and gives it a TorchLoader."""

    def __init__(self, context: Context):
        self._context = context

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torch" or fullname in sys.modules:
            return None
        others = [f for f in sys.meta_path if hasattr(f, "find_spec") and not isinstance(f, TorchFinder)]
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = TorchLoader(spec.loader, self._context)
        return spec


def around_torch(context: Context) -> None:
    if "torch" not in sys.modules:
        sys.meta_path.insert(0, TorchFinder(context))
