"""Every cell with every option and size, and an error planted in every term of every gradient."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from tidegate.calculus import Step, trace
from tidegate.cells import CELLS, Cell
from tidegate.verification import direct
from tidegate.verification.fault import find_fault
from tidegate.verification.outcome import Comparison, Verification
from tidegate.verification.plant import plant, terms_of
from tidegate.verification.problem import options_of, random_problem
from tidegate.verification.values import by_autograd, by_bptt
from tidegate.verification.verify import Sizes, compare

USUAL: Sizes = (7, 3, 4, 5)
ODD: tuple[Sizes, ...] = (
    (1, 1, 1, 1), (1, 3, 2, 2), (3, 1, 5, 3), (17, 2, 3, 4), (5, 3, 2, 33), (2, 33, 3, 16), (3, 2, 7, 64),
)  # fmt: skip


def verify_all(
    subjects: Iterable[type[Cell]] = tuple(CELLS.values()),
    *,
    engine: str | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    report: Callable[[Comparison], None] = lambda comparison: None,
) -> Verification:
    """Every cell with each option alone, with several options, and at odd sizes; and every planted error, which must
    be found.

    This takes less than a minute for the built-in cells. `report` is called with each comparison when it is done.
    """
    begin, found = time.perf_counter(), []
    planted: dict[str, bool] = {}
    for cell in subjects:
        step = trace(cell)
        for k, (sizes, options) in enumerate(cases(step)):
            problem = random_problem(cell, sizes=sizes, dtype=torch.float32, seed=seed + k, options=options)
            found.append(replace(compare(problem, "", engine, dtype, seed + k), problem=None))
            report(found[-1])
        planted |= {f"{step.name}, {term}": is_found(cell, term, seed) for term in terms_of(step)}
    return Verification(tuple(found), time.perf_counter() - begin, planted)


def cases(step: Step) -> list[tuple[Sizes, tuple[str, ...]]]:
    every = options_of(step)
    together = [("reverse", "lengths", "resets"), ("lengths", "no bias", "indexed"), every]
    alone = [(option,) for option in every]
    return [(USUAL, options) for options in ((), *alone, *together)] + [(sizes, ()) for sizes in ODD]


def is_found(cell: type[Cell], term: str, seed: int) -> bool:
    """Whether the comparison with autograd finds an error planted in the term, and the gate it belongs to."""
    problem = random_problem(cell, sizes=(3, 2, 2, 3), seed=seed)
    planted_error = plant(problem.call.step, term)
    wrong, right = by_bptt(problem, planted_error), by_autograd(problem, partial(direct.unroll, cell=cell))
    seen = any(np.linalg.norm(wrong[q] - right[q]) > 1e-9 * np.linalg.norm(right[q]) for q in right)
    return seen and find_fault(problem, planted_error.rule, planted_error.terms) is not None
