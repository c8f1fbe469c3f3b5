"""Cells by the names that the command line uses: those of CELLS, and FILE.py:CLASS."""

import difflib
import importlib.util
import sys
from pathlib import Path

from tidegate.cells import CELLS, Cell
from tidegate.errors import ArgumentError, EquationError


def find_cell(name: str) -> type[Cell]:
    """The cell class of a name on the command line; ArgumentError for a bad name, EquationError for a bad file."""
    if name in CELLS:
        return CELLS[name]
    path, colon, class_name = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ArgumentError(
            f"`cell` must be one of {', '.join(CELLS)}, or FILE.py:CLASS, got {name!r}.{suggestion(name)}"
        )
    if not Path(path).is_file():
        raise ArgumentError(f"`cell` {name!r}: there is no file {path}.")
    cell = getattr(load(Path(path)), class_name, None)
    if not (isinstance(cell, type) and issubclass(cell, Cell)):
        raise ArgumentError(f"`cell` {name!r}: {path} has no class {class_name} that derives from tidegate.Cell.")
    return cell


def suggestion(name: str) -> str:
    """The end of a message about a name that is not in CELLS: the most similar name, if one is similar."""
    spelled = {**{cell.__name__.lower(): known for known, cell in CELLS.items()}, **{known: known for known in CELLS}}
    found = difflib.get_close_matches(name.lower().replace("_", "-"), spelled, n=1, cutoff=0.7)
    return f" Did you mean {spelled[found[0]]}?" if found else ""


def load(path: Path, argument: str = "cell"):
    """The module in the file `path`, imported once; `argument` is what messages call the class that it defines."""
    name = f"tidegate_user_cells.{path.resolve().as_posix().strip('/').replace('/', '.')}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"`{argument}`: {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file can raise anything
        del sys.modules[name]
        alone = f" The file of a {argument} cannot import files of its own folder."
        raise EquationError(
            f"{path} cannot be imported: {type(error).__name__}: {error}.{alone * isinstance(error, ImportError)}"
        ) from error
    return module
