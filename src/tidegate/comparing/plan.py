"""From the arguments of a comparison to its arms, all checked before anything is trained."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.calculus import Step, trace
from tidegate.cells import CELLS, Cell
from tidegate.cells.find import find_cell
from tidegate.comparing import settings as known_settings
from tidegate.comparing.arm import Arm
from tidegate.comparing.job import GivenTask, NamedTask, parameters_of
from tidegate.comparing.network import refusal
from tidegate.comparing.settings import Settings
from tidegate.errors import ArgumentError, ArgumentTypeError, did_you_mean
from tidegate.tasks import Task

CellLike = str | type[Cell] | Step
MOST_SEEDS = 10_000  # the learning rates are chosen on seeds from here on


def as_source(task: str | Task, parameters: Mapping[str, Any]) -> NamedTask | GivenTask:
    """The task of the comparison. Raises ArgumentError for a name or parameters that do not exist."""
    if isinstance(task, str):
        path, colon, name = task.rpartition(":")
        own = colon and path.endswith(".py")  # a process of another folder must find it too
        source = NamedTask(f"{Path(path).absolute()}:{name}" if own else task, tuple(parameters.items()))
        source.make()
        return source
    if not isinstance(task, Task):
        raise ArgumentTypeError(f"`task` must be a name or a tidegate.tasks.Task, got {type(task).__name__}.")
    return with_parameters(GivenTask(task), parameters)


def with_parameters(source: NamedTask | GivenTask, values: Mapping[str, Any]) -> NamedTask | GivenTask:
    """The same task with some of its parameters replaced."""
    if not values:
        return source
    if isinstance(source, NamedTask):
        return NamedTask(source.name, tuple({**dict(source.parameters), **values}.items()))
    unknown = [name for name in values if name not in parameters_of(source.task)]
    if unknown:
        raise ArgumentError(f"the task {source.task.name} has no parameter `{unknown[0]}`.")
    return GivenTask(dataclasses.replace(source.task, **values))  # type: ignore[type-var]


def as_cells(cells: Sequence[CellLike]) -> dict[str, Step]:
    """The equations of each cell by a name for it. Raises ArgumentError for an unknown one, or for one given twice."""
    if isinstance(cells, str) or not isinstance(cells, Sequence) or not cells:
        raise ArgumentTypeError(f'`cells` must be a list of cells, such as ["gru", "lstm"], got {cells!r:.80}.')
    found: dict[str, Step] = {}
    for cell in cells:
        name, step = named(cell)
        if name in found:
            raise ArgumentError(f"`cells` must differ, got {name} twice.")
        found[name] = step
    return found


def named(cell: CellLike) -> tuple[str, Step]:
    """A name for a cell, and its equations."""
    if isinstance(cell, str):
        path, colon, name = cell.rpartition(":")
        return (name if colon and Path(path).suffix else cell), trace(find_cell(cell))
    if isinstance(cell, Step):
        return next((name for name, known in CELLS.items() if trace(known) is cell), cell.name), cell
    if isinstance(cell, type) and issubclass(cell, Cell):
        return next((name for name, known in CELLS.items() if known is cell), cell.__name__), trace(cell)
    raise ArgumentTypeError(
        f"`cells` must be names, classes that derive from tidegate.Cell, or traced Steps, got {cell!r:.60}."
    )


def as_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """0, 1, ..., seeds - 1, or the given ones."""
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_SEEDS:
            raise ArgumentError(f"`seeds` must be from 1 to {MOST_SEEDS:,}, got {seeds}.")
        return tuple(range(seeds))
    given = tuple(seeds) if isinstance(seeds, Sequence) and not isinstance(seeds, str) else ()
    sound = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < MOST_SEEDS for seed in given)
    if not given or not sound or len(set(given)) < len(given):
        raise ArgumentError(
            f"`seeds` must be their number, or different integers from 0 to {MOST_SEEDS - 1:,}, got {seeds!r:.60}."
        )
    return given


def check_varied(source: NamedTask | GivenTask, vary: Mapping[str, Sequence[Any]]) -> None:
    """Raise ArgumentError where a name is neither a setting nor a parameter of the task, or a value occurs twice."""
    names = (*known_settings.NAMES, *parameters_of(source.make()))
    for name, values in vary.items():
        if name not in names:
            raise ArgumentError(
                f"`vary` must name a setting or a parameter of the task, one of {', '.join(names)}, got {name!r}."
                f"{did_you_mean(name, names)}"
            )
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ArgumentError(f"`vary` must give a list of values for {name}, got {values!r:.60}.")
        if len(set(values)) < len(values):
            raise ArgumentError(f"`vary` must give different values for {name}, got {', '.join(map(str, values))}.")


def combinations(
    source: NamedTask | GivenTask,
    cells: Mapping[str, Step],
    settings: Settings,
    vary: Mapping[str, Sequence[Any]],
) -> Iterator[Arm]:
    """An arm for every cell with every combination of the varied values, each with the same number of units."""
    check_varied(source, vary)
    for values in itertools.product(*vary.values()):
        varied = dict(zip(vary, values))
        own = {name: value for name, value in varied.items() if name in known_settings.NAMES}
        of_task = {name: value for name, value in varied.items() if name not in own}
        changed = with_parameters(source, of_task)
        task = changed.make()  # whose parameters are numbers where they were given as text
        varied |= {name: getattr(task, name) for name in of_task}
        for name, step in cells.items():
            yield Arm(name, step, changed, settings.with_values(own), varied)


def possible(arms: Sequence[Arm]) -> tuple[list[Arm], list[str]]:
    """The arms whose cell can have its initialisation, and a sentence for each cell with one that it cannot have.

    Raises ArgumentError where none is left.
    """
    kept, left_out = [], []
    for arm in arms:
        reason = refusal(arm.step, arm.task, arm.settings.init)
        if reason is None:
            kept.append(arm)
        else:
            left_out.append(f"{arm.cell} with init {arm.settings.init} is left out: {reason}")
    if not kept:
        raise ArgumentError(f"`init` must suit one of the cells at least. {left_out[0]}")
    return kept, list(dict.fromkeys(left_out))
