"""Comparison of the derived gradients, and of every engine's, with independent oracles."""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from tidegate.calculus import Step, adjoint, trace
from tidegate.cells import Cell
from tidegate.cells.find import find_cell
from tidegate.engines import Call, Result, Weights
from tidegate.engines.choose import ENGINES, find
from tidegate.engines.reference.functions import Array
from tidegate.engines.reference.problem import as_problem
from tidegate.engines.reference.rtrl import count_directions
from tidegate.errors import ArgumentError
from tidegate.nn import CellLayer
from tidegate.nn.stack import read_weights, suffixes
from tidegate.verification import direct, twin
from tidegate.verification.arrays import as_problem as as_own_problem
from tidegate.verification.arrays import checked
from tidegate.verification.fault import find_fault
from tidegate.verification.outcome import Check, Comparison, Verification
from tidegate.verification.plant import Plant, terms_of
from tidegate.verification.plant import plant as make_plant
from tidegate.verification.problem import Problem, leaf, random_problem
from tidegate.verification.values import (
    Values,
    blocks,
    by_autograd,
    by_bptt,
    by_differences,
    by_reference,
    by_rtrl,
    is_gradient,
)

EXACT = 1e-12  # between two computations in float64
DIFFERENCES = 1e-7  # and ten times the estimated error of the differences, up to 1e-5
ENGINE = {torch.float64: (EXACT, EXACT), torch.float32: (1e-6, 1e-5)}  # forward, gradient
MOST_DIRECTIONS = 1000

Sizes = tuple[int, int, int, int]


def verify(
    subject: type[Cell] | Step | str | CellLayer,
    *,
    sizes: Sizes = (7, 3, 4, 5),
    engine: str | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    options: Iterable[str] = (),
    plant: str | None = None,
    arrays: Mapping[str, Array] | None = None,
) -> Verification:
    """The derived BPTT of a cell, in NumPy and float64, compared with every oracle; `.passed` is True if all agree.

    subject: a cell, a Step, a name as on the command line, or a layer, whose own parameters are then verified, layer by
    layer and direction by direction. The oracles, and what each shares with the derived gradients:

    * autograd: torch's autograd of the cell's equations run on tensors; nothing (for a Step, the traced expressions);
    * differences: finite differences of the same; nothing;
    * reference: the chain rule in NumPy with partial derivatives of its own; the traced expressions;
    * RTRL: real-time recurrent learning, up to 1,000 directions; the traced expressions;
    * torch.nn, where it has the cell; nothing;
    * every engine that can run the call, in float64 and float32, or only `engine` and `dtype`: `eager`, differentiated
      by torch, shares the trace; `cpu` runs the derived Adjoint itself; `torch` shares nothing.

    Inputs, states, gradients with respect to the outputs, and a cell's parameters are random by `seed`, of `sizes` =
    (T, B, D, H); D and H of a layer are its own. `options`: any of "reverse", "lengths", "resets", "indexed",
    "no bias", "no state", "projected". `plant` makes one term of the derived backward step wrong, named or "random",
    which the verification must then find. `arrays`, by the names of `verification.arrays`, are used instead of random
    numbers; they give the sizes, and the engines run in float64 unless `dtype` is float32, which rounds them.
    Bounds on the relative error, by gate: 1e-12 in float64, 1e-7 for differences, in float32 1e-6 forward and 1e-5 for
    gradients; over long sequences a cell whose state explodes amplifies rounding beyond them. Raises ArgumentError or
    EquationError for what it cannot verify.
    """
    begin = time.perf_counter()
    if isinstance(subject, CellLayer):
        if arrays is not None:
            raise ArgumentError("`arrays` are for a cell; a layer has parameters of its own.")
        problems = problems_of_layer(subject, sizes, seed, options)
    else:
        cell = find_cell(subject) if isinstance(subject, str) else subject
        if not isinstance(cell, Step) and not (isinstance(cell, type) and issubclass(cell, Cell)):
            raise ArgumentError(
                "`subject` must be a class that derives from tidegate.Cell, a Step, a layer of Tidegate or a name such "
                f'as "gru", got {cell!r:.60}.'
            )
        if arrays is None:
            problem = random_problem(cell, sizes=sizes, dtype=torch.float32, seed=seed, options=options)
        else:
            problem, dtype = given_problem(cell, arrays, options), dtype or torch.float64
        problems = {"": problem}
    planted = None if plant is None else choose_plant(next(iter(problems.values())).call.step, plant, seed)
    found = tuple(compare(problem, part, engine, dtype, seed, planted) for part, problem in problems.items())
    if arrays is not None:
        found = tuple(replace(comparison, seed=None) for comparison in found)
    return Verification(found, time.perf_counter() - begin)


def given_problem(cell: type[Cell] | Step, arrays: Mapping[str, Array], options: Iterable[str]) -> Problem:
    """The problem of checked `arrays`, in float64."""
    if list(options):
        raise ArgumentError(
            "`options` are for random numbers: `arrays` decide by themselves, for example without biases."
        )
    step = cell if isinstance(cell, Step) else trace(cell)
    return as_own_problem(cell, checked(arrays, step))


def choose_plant(step: Step, name: str, seed: int) -> Plant:
    return make_plant(step, random.Random(seed).choice(terms_of(step)) if name == "random" else name)


def problems_of_layer(layer: CellLayer, sizes: Sizes, seed: int, options: Iterable[str]) -> dict[str, Problem]:
    """A problem for each layer and direction, with its own parameters, rounded to float32."""
    problems: dict[str, Problem] = {}
    for k, (suffix, w) in enumerate(zip(suffixes(layer), read_weights(layer))):
        chosen = {*options, *(["reverse"] if suffix.endswith("_reverse") else [])}
        chosen |= {"no bias"} if w.b_ih is None else set()
        chosen |= {"projected"} if w.w_hr is not None else set()
        inner = (*sizes[:2], w.w_ih.shape[1], layer.hidden_size)
        problem = random_problem(layer.cell, sizes=inner, dtype=torch.float32, seed=seed + k, options=chosen)
        own = Weights(*(None if m is None else leaf(m.float().cpu()) for m in w.tensors()))  # type: ignore[arg-type]
        if w.w_hr is not None and w.w_hr.shape[0] != problem.call.P:
            problem = with_projection(problem, w.w_hr.shape[0], seed)
        problems[suffix] = replace(problem, call=replace(problem.call, weights=own))
    return problems


def with_projection(problem: Problem, P: int, seed: int) -> Problem:
    """The problem with an output state of P columns."""
    T, B = problem.call.T, problem.call.B
    random = torch.Generator().manual_seed(seed)
    h = leaf(torch.randn(B, P, generator=random) / 2)
    call = replace(problem.call, states=(h, *problem.call.states[1:]))
    d_final = (torch.randn(B, P, generator=random), *problem.d_final[1:])
    return replace(problem, call=call, d_outputs=torch.randn(T, B, P, generator=random), d_final=d_final)


def compare(
    problem: Problem,
    part: str = "",
    engine: str | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    planted: Plant | None = None,
) -> Comparison:
    """One problem, with numbers that float32 represents exactly, by the derived BPTT and every oracle."""
    exact = problem.to(torch.float64)
    derived, step = by_bptt(exact, planted), exact.call.step
    checks: list[Check] = []
    absent: dict[str, str] = {}

    def against(oracle: str, values: Values, bounds: Callable[[str], float], estimated: Mapping[str, float]) -> None:
        for quantity, expected in values.items():
            checks.extend(
                Check(quantity, gate, oracle, norm, error, bounds(quantity) + min(10 * doubt, 1e-5))
                for gate, norm, error, doubt in errors(step, quantity, derived, expected, estimated.get(quantity, 0.0))
            )

    unroll = partial(direct.unroll, cell=exact.cell)
    against("autograd", by_autograd(exact, unroll), lambda q: EXACT, {})
    values, doubts = by_differences(exact, unroll, seed)
    against("differences", values, lambda q: DIFFERENCES, doubts)
    against("reference", by_reference(exact), lambda q: EXACT, {})
    directions = count_directions(as_problem(exact.call, exact.call.x, exact.call.states, exact.call.weights))
    if directions <= MOST_DIRECTIONS:
        against("RTRL", by_rtrl(exact), lambda q: EXACT, {})
    else:
        absent["RTRL"] = f"it is for small sizes, and this has more than {MOST_DIRECTIONS:,} directions"
    if refusal := twin.refuse(exact.call):
        absent["torch.nn"] = refusal
    else:
        against("torch.nn", by_autograd(exact, twin.run), lambda q: EXACT, {})
    for name, precision, run in engines(exact, engine, dtype, absent):
        forward, gradient = ENGINE[precision]
        values = by_autograd(exact.to(precision), run)
        label = f"{name} {str(precision).removeprefix('torch.')}"
        against(label, values, lambda q, f=forward, g=gradient: g if is_gradient(q) else f, {})
    wrong = any(not check.passed for check in checks if check.oracle == "autograd")
    rule = adjoint(step) if planted is None else planted.rule
    call = exact.call
    return Comparison(
        cell=step.name,
        part=part,
        sizes=(call.T, call.B, call.D, call.H),
        seed=seed,
        options=problem.options,
        checks=tuple(checks),
        absent=absent,
        fault=find_fault(exact, rule, planted and planted.terms) if wrong else None,
        plant=planted.name if planted else None,
        problem=exact,
    )


def engines(
    exact: Problem, engine: str | None, dtype: torch.dtype | None, absent: dict[str, str]
) -> Iterable[tuple[str, torch.dtype, Callable[[Call], Result]]]:
    """(name, precision, run) of every engine that can run the problem; the refusals of the others go to `absent`."""
    if dtype is not None and dtype not in ENGINE:
        raise ArgumentError(f"`dtype` must be torch.float32 or torch.float64, got {dtype}.")
    names = [name for name in ENGINES if name != "reference"] if engine is None else [find(engine).NAME]
    for name in names:
        for precision in ENGINE if dtype is None else (dtype,):
            refusal = find(name).refuse(exact.to(precision).call)
            if refusal is None:
                yield name, precision, find(name).run
            else:
                absent[f"{name} {str(precision).removeprefix('torch.')}"] = refusal


def errors(
    step: Step, quantity: str, derived: Values, expected: Array, estimated: float
) -> Iterable[tuple[str, float, float, float]]:
    """(gate, norm of the derived value, error relative to it, estimated error of the oracle likewise), gate by gate."""
    whole = derived[quantity]
    gradients = np.sqrt(sum(np.sum(a**2) for q, a in derived.items() if is_gradient(q)))
    for (gate, ours), (_, theirs) in zip(blocks(step, quantity, whole), blocks(step, quantity, expected)):
        tried = ~np.isnan(theirs) if estimated else np.ones(theirs.shape, bool)
        norm = float(np.linalg.norm(ours[tried]))
        scale = max(norm, 0.01 * float(np.linalg.norm(whole)), 1e-9 * float(gradients))
        difference = float(np.linalg.norm(ours[tried] - theirs[tried]))
        yield gate, norm, difference / scale if scale else difference, estimated / scale if scale else 0.0
