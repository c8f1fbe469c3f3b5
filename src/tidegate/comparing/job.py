"""Job: one training run of a comparison as data, and the key under which its result is kept."""

import dataclasses
import hashlib
import inspect
import json
from dataclasses import dataclass
from typing import Any

import torch

import tidegate
from tidegate.comparing.one_thread import MAKING
from tidegate.errors import ArgumentError
from tidegate.tasks import Task, find_task


@dataclass(frozen=True)
class NamedTask:
    """A task by its name and parameters, which another process makes again."""

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    def make(self) -> Task:
        with MAKING:
            return find_task(self.name, **dict(self.parameters))


@dataclass(frozen=True)
class GivenTask:
    """A task that was given as an object, which travels to other processes by pickle."""

    task: Task

    def make(self) -> Task:
        return self.task


@dataclass(frozen=True)
class Job:
    """Train a network of one cell on a task with one seed.

    task: how a process makes the task.   task_facts: what the task is, as JSON: see `task_facts`.
    cell: the equations, as JSON (`calculus.serial`): no code travels to another process.
    seed: of the weights and of the training sequences. Jobs of one seed, batch size and task see the same sequences.
    The other fields are those of Settings.
    """

    task: NamedTask | GivenTask
    task_facts: str
    cell: str
    seed: int
    hidden: int
    layers: int
    init: str
    batch: int
    steps: int
    optimizer: str
    lr: float
    clip: float
    eval_every: int
    eval_size: int

    def facts(self) -> dict[str, Any]:
        """Everything that the numbers depend on, as JSON values."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "task"}
        versions = {"tidegate": tidegate.__version__, "torch": torch.__version__}
        return {**found, "task_facts": json.loads(self.task_facts), "cell": json.loads(self.cell), "versions": versions}

    def key(self) -> str:
        """32 hexadecimal digits: the start of the SHA-256 of `facts`."""
        text = json.dumps(self.facts(), sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def cost(self) -> float:
        """A number that grows with the time that the job takes, to run the longest ones first."""
        return self.steps * self.batch * self.hidden**2 * self.layers * self.cell.count('"product"')


def task_facts(task: Task) -> str:
    """A task as canonical JSON: its name and parameters; the hash of its data, where it has some; and for a task that
    is not part of the library the hash of the file of its class, because a change of that file changes the task.

    Raises ArgumentError where that file cannot be found or a parameter is not a JSON value.
    """
    kind = type(task)
    facts: dict[str, Any] = {"name": task.name, "class": kind.__qualname__, "parameters": parameters_of(task)}
    if task.data:
        facts["data"] = task.data
    if kind.__module__.partition(".")[0] != "tidegate":
        facts["source"] = source_hash(kind)
    try:
        return json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"`task` must have parameters that are numbers or text, got {task!r:.80}: {error}."
        ) from None


def parameters_of(task: Task) -> dict[str, Any]:
    """The parameters of a task by name; none where its class is not a dataclass."""
    return {f.name: getattr(task, f.name) for f in dataclasses.fields(task)} if dataclasses.is_dataclass(task) else {}


def source_hash(kind: type) -> str:
    """The SHA-256 of the text of the file that defines a class."""
    try:
        module = inspect.getmodule(kind)
        text = inspect.getsource(module if module is not None and module.__name__ != "__main__" else kind)
    except (OSError, TypeError) as error:
        raise ArgumentError(
            f"`task` must be a class in a file, got {kind.__qualname__}, whose source cannot be found: finished jobs "
            "are recognised by it. Write the class in a file, and name it FILE.py:CLASS."
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()
