"""Tasks by the names that the command line uses: those of TASKS, text:FILE and FILE.py:CLASS."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tidegate.cells.find import load
from tidegate.errors import ArgumentError, ArgumentTypeError, EquationError, did_you_mean
from tidegate.tasks.adding import Adding
from tidegate.tasks.associative import AssociativeRecall
from tidegate.tasks.breaks import Break
from tidegate.tasks.copying import Copy, SelectiveCopy
from tidegate.tasks.counting import AnBn, AnBnCn
from tidegate.tasks.digits import Digits
from tidegate.tasks.dyck import Dyck
from tidegate.tasks.holding import DelayedMatch, FlipFlop
from tidegate.tasks.language import Language
from tidegate.tasks.order import TemporalOrder
from tidegate.tasks.parameters import parsed
from tidegate.tasks.parity import Parity
from tidegate.tasks.recall import OnlyAt, Recall
from tidegate.tasks.skip import Skip
from tidegate.tasks.task import Task

TASKS: Mapping[str, type[Task]] = MappingProxyType(
    {
        task.name: task
        for task in (
            Recall, Skip, Break, OnlyAt, Adding, Copy, SelectiveCopy, TemporalOrder, Parity, AnBn, AnBnCn, Dyck,
            FlipFlop, DelayedMatch, AssociativeRecall, Digits, Language,
        )
    }
)  # fmt: skip


def find_task(name: str, **parameters: object) -> Task:
    """The task with a name and parameters, the other parameters at their defaults: find_task("recall", length=50).

    `name` is one of TASKS; or text:FILE or text:CORPUS, a language model of that text; or FILE.py:CLASS, a task of your
    own. A parameter that is a number may also be given as text ("50"), as on a command line.

    Raises ArgumentError for an unknown name, file or parameter, and for a value out of range.
    """
    head, colon, rest = name.partition(":")
    if colon and head == Language.name:
        if "text" in parameters:
            raise ArgumentError(f"the task {name!r} already names its text: leave out the parameter `text`.")
        parameters, name = {"text": rest, **parameters}, head
    kind = TASKS[name] if name in TASKS else _own(name)
    try:
        return kind(**parsed(kind, name, parameters))
    except TypeError as error:
        if isinstance(error, ArgumentTypeError):
            raise
        raise ArgumentError(f"the task {name} cannot be made: {error}.") from error


def _own(name: str) -> type[Task]:
    """The task class CLASS in the file FILE.py of the name FILE.py:CLASS."""
    path, colon, class_name = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ArgumentError(
            f"`task` must be one of {', '.join(TASKS)}, text:FILE or FILE.py:CLASS, got {name!r}."
            f"{did_you_mean(name.replace('_', '-'), TASKS)}"
        )
    if not Path(path).is_file():
        raise ArgumentError(f"`task` {name!r}: there is no file {path}.")
    try:
        found = getattr(load(Path(path), "task"), class_name, None)
    except EquationError as error:
        raise ArgumentError(str(error)) from error
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise ArgumentError(f"`task` {name!r}: {path} has no class {class_name} that derives from tidegate.tasks.Task.")
    return found
