"""compare: cells on a task over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tidegate.comparing.arm import Arm, differ_in
from tidegate.comparing.job import parameters_of
from tidegate.comparing.match import check_match, match_seconds, match_weights
from tidegate.comparing.outcome import Outcome
from tidegate.comparing.plan import (
    MOST_SEEDS,
    CellLike,
    as_cells,
    as_seeds,
    as_source,
    combinations,
    possible,
)
from tidegate.comparing.progress import Progress
from tidegate.comparing.rates import Rate, check_rates
from tidegate.comparing.runner import Runner
from tidegate.comparing.settings import RATES, Settings
from tidegate.comparing.side_by_side import check_workers, workers_at_once
from tidegate.comparing.store import Store
from tidegate.comparing.summary import summarise
from tidegate.comparing.trainer import timed
from tidegate.comparing.verdict import Verdict, pair_up, verdicts
from tidegate.errors import ArgumentError
from tidegate.tasks import Task
from tidegate.train.versions import versions

if TYPE_CHECKING:
    from tidegate.comparing.comparison import ArmResult, Comparison

NOTHING: Mapping[str, Any] = MappingProxyType({})


def compare(
    task: str | Task,
    cells: Sequence[CellLike],
    *,
    seeds: int | Sequence[int] = 10,
    parameters: Mapping[str, Any] = NOTHING,
    vary: Mapping[str, Sequence[Any]] = NOTHING,
    match: str = "weights",
    settings: Settings | None = None,
    rates: Sequence[float] | None = None,
    tuning_seeds: int = 2,
    out: str | Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Train networks of several cells on a task with several seeds, and say which is better, and how sure that is.

        found = tidegate.compare("recall", ["gru", "lstm", "rnn"], parameters={"length": 50}, seeds=10)
        print(found)                    # a sentence for each cell and for each pair
        found.arm("gru").summary.score  # lower quartile, median and upper quartile

    task: a name of `tidegate.tasks.TASKS`, text:FILE or FILE.py:CLASS, with its `parameters`; or a task.
    cells: names as on the command line, Cell classes or traced Steps.
    seeds: their number, or the seeds. A seed gives the training sequences and the weights; all cells share them.
    vary: values for settings or parameters of the task; every cell is trained with every combination of them.
    match: what is equal for all cells. "weights": the recurrent parameters of the first cell with `settings.hidden`
    units, within 2 % where a whole number of units permits. "units": the units. "seconds": the weights, and the
    training time, by the number of steps; measured three times, and the shortest time counts.
    settings: everything else; see Settings. Where its `lr` is None and no learning rate is varied, the rate of each
    cell and setting is the best of `rates` on `tuning_seeds` other seeds, with as many steps; every cell has the
    same rates.
    out: a folder. Finished jobs are kept in out/jobs and never run again; None keeps nothing.
    workers: how many jobs run at once, each on one thread; None: as many as there are processors, or as
    `joblib.parallel_config` says. With its backends "dask" and "ray" the jobs run on a cluster.

    Called again with the same arguments and versions it returns the same scores, steps and verdicts; seconds are
    measured. Raises ArgumentError for arguments that do not exist or do not fit, before anything is trained.
    """
    from tidegate.comparing.comparison import Comparison  # its base class imports all of `tidegate.insight`

    settings, progress = settings or Settings(), progress or Progress()
    check_match(match)
    check_workers(workers)
    numbers = as_seeds(seeds)
    source = as_source(task, parameters)
    tried = learning_rates(settings, vary, rates)
    if not isinstance(tuning_seeds, int) or isinstance(tuning_seeds, bool) or tuning_seeds < 1:
        raise ArgumentError(f"`tuning_seeds` must be an integer of at least 1, got {tuning_seeds!r}.")
    arms, notes = list(combinations(source, as_cells(cells), settings, vary)), list[str]()
    folder = None if out is None else Path(out)
    store = Store(folder)
    if match != "units":
        arms, off = match_weights(arms)
        notes += off
    arms, left_out = possible(arms)  # after their sizes, which are those of the first cell even if it is left out
    notes += left_out
    if match == "seconds":
        arms, taken = match_seconds(arms, timed, folder)
        notes += taken
    for note in notes:
        progress.note(note)
    runner = Runner(store, progress, workers)
    tuning = tuple(range(MOST_SEEDS, MOST_SEEDS + tuning_seeds)) if tried else ()
    with progress:
        progress.begin(arms, len(tuning) * len(tried), len(numbers), workers_at_once(workers))
        chosen = runner.rates(arms, tried, tuning)
        outcomes = runner.report(arms, chosen, numbers)
    notes += unfinished(arms, chosen)
    results = tuple(result(arm, rate, own) for arm, rate, own in zip(arms, chosen, outcomes))
    refuse_if_nothing_ran(results)
    return Comparison(
        task=task_description(arms[0].task, vary),
        matched=match,
        seeds=numbers,
        tuning_seeds=tuning,
        arms=results,
        verdicts=tuple(all_verdicts(arms, results)),
        notes=tuple(notes),
        versions=versions(),
    )


def learning_rates(
    settings: Settings, vary: Mapping[str, Sequence[Any]], rates: Sequence[float] | None
) -> tuple[float, ...]:
    """The rates to choose from; none where the rate is given or varied."""
    given = settings.lr is not None or "lr" in vary
    if given and rates is not None:
        raise ArgumentError(
            "`rates` must be left out where a learning rate is given or varied: nothing is chosen then."
        )
    if given:
        return ()
    if rates is None and "optimizer" in vary:
        raise ArgumentError("`rates` must be given where optimizer is varied: one of them alone has usual rates.")
    return check_rates(RATES[settings.optimizer] if rates is None else rates)


def unfinished(arms: Sequence[Arm], rates: Sequence[Rate]) -> list[str]:
    """A sentence for each arm whose best rate is at the edge of those tried."""
    return [
        f"{arm.label}: unfinished. Its best learning rate, {rate.rate:g}, is at the edge of those tried "
        f"({', '.join(f'{t.rate:g}' for t in rate.trials)}); a better one may lie beyond."
        for arm, rate in zip(arms, rates)
        if rate.unfinished
    ]


def result(arm: Arm, rate: Rate, outcomes: Sequence[Outcome]) -> ArmResult:
    from tidegate.comparing.comparison import ArmResult

    task, known = arm.task.heldout(), next((run for run in outcomes if run.weights), None)
    return ArmResult(
        label=arm.label,
        cell=arm.cell,
        equations=arm.equations,
        varied=arm.varied,
        settings=arm.settings.with_values({"lr": rate.rate}),
        rate=rate,
        chance=task.chance,
        best=task.best,
        solved=task.solved,
        weights=known.weights if known else 0,
        recurrent_weights=arm.weights,
        state=known.state if known else 0,
        step_seconds=arm.step_seconds,
        outcomes=tuple(outcomes),
        summary=summarise(task, outcomes),
    )


def refuse_if_nothing_ran(results: Sequence[ArmResult]) -> None:
    """Raise ArgumentError where every job failed: the task or the cells cannot be trained."""
    runs = [run for arm in results for run in arm.outcomes]
    if all(run.status == "failed" for run in runs):
        raise ArgumentError(f"`task` cannot be trained: every job failed, the first with {runs[0].reason.rstrip('.')}.")


def all_verdicts(arms: Sequence[Arm], results: Sequence[ArmResult]) -> list[Verdict]:
    """A verdict for each pair of arms that differ in one thing, which is not a parameter of the task."""
    per_step = {arm.label: arm.step_seconds for arm in arms if arm.step_seconds is not None} or None
    pairs = []
    for (a, own), (b, other) in itertools.combinations(zip(arms, results), 2):
        if len(differ_in(a, b)) == 1 and a.facts == b.facts:
            pairs.append(pair_up(a.task.heldout(), a.label, b.label, own.outcomes, other.outcomes, per_step))
    return verdicts(pairs)


def task_description(task: Task, vary: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The task as data; its varied parameters are left out."""
    parameters = {name: value for name, value in parameters_of(task).items() if name not in vary}
    return {
        "name": task.name,
        "parameters": parameters,
        "source": task.source,
        "metric": task.metric,
        "higher_is_better": task.higher_is_better,
    }
