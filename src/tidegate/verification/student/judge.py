"""Judge a student's function: its gradients tensor by tensor and step by step, on whole and on shorter sequences."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tidegate.calculus import Step, trace
from tidegate.cells import Cell
from tidegate.cells.find import find_cell
from tidegate.engines.reference.functions import Array
from tidegate.errors import ArgumentError
from tidegate.verification.arrays import PARAMETERS, as_arrays, as_problem, checked
from tidegate.verification.problem import random_problem
from tidegate.verification.student.diagnosis import Diagnosis, diagnose, distance, smallest_of
from tidegate.verification.student.function import Function, ask, load_function
from tidegate.verification.student.judgement import Finding, Judgement
from tidegate.verification.student.trajectory import Key, Start, start_of, sweep

BOUNDS = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 1e-4}
MOST_STEPS = 8  # of the shorter sequences


@dataclass(frozen=True)
class Task:
    """Arrays, the right gradients in blocks, and the names and shapes of what a function may return."""

    step: Step
    arrays: Mapping[str, Array]
    start: Start
    right: Mapping[Key, Array]
    shapes: Mapping[str, tuple[int, ...]]

    def required(self) -> tuple[str, ...]:
        """The names of the gradients with respect to all arrays."""
        return tuple(f"d{name}" for name in self.arrays if name != "dy")

    def gates(self, name: str) -> tuple[str, ...]:
        return tuple(gate for tensor, gate in self.right if tensor == name)

    def expected(self, name: str) -> Array:
        return np.concatenate([self.right[name, gate] for gate in self.gates(name)])


def judge(
    subject: type[Cell] | Step | str,
    function: Function | str,
    *,
    sizes: tuple[int, int, int, int] = (7, 3, 4, 5),
    seed: int = 0,
    arrays: Mapping[str, Array] | None = None,
) -> Judgement:
    """Compare the gradients that a function returns with the derived ones, and look for the mistake if they differ.

    `function` gets a dictionary of float64 arrays under the names of `verification.arrays`, random by `seed` and of
    `sizes` (T, B, D, H), or `arrays`; or it is the text FILE.py:FUNCTION. It returns a dictionary with the gradient of
    L = sum(y * dy) with respect to each of them, dx, dh_0, dweight_ih and so on, of the same shapes. It may also return
    arrays (T, B, H): y, the outputs; da_g and dq_g, the gradients with respect to the pre-activations
    a_g = W_g x + b_g and q_g = U_g p + c_g of a gate g; dh, for each state, the gradient with respect to h after the
    step, through all later steps and dy.

    A tensor passes with a relative error of at most 1e-7 in every gate's block, in float32 of 1e-4. Raises
    ArgumentError where the function raises, or returns anything but such arrays.
    """
    cell = find_cell(subject) if isinstance(subject, str) else subject
    step = cell if isinstance(cell, Step) else trace(cell)
    called = load_function(function) if isinstance(function, str) else function
    random = as_arrays(random_problem(cell, sizes=sizes, seed=seed))
    given = random if arrays is None else checked(arrays, step)
    task = task_of(cell, given)
    answer = ask(called, given, task.shapes)
    findings = tuple(find(task, name, answer[name]) for name in task.shapes if name in answer)
    missing = tuple(name for name in task.required() if name not in answer)
    T, B, H = given["dy"].shape
    found = Judgement(step.name, (T, B, given["x"].shape[2], H), seed if arrays is None else None, findings, missing)
    if all(finding.passed for finding in findings):
        return found
    return replace(
        found, diagnosis=diagnosis_of(task, answer, findings), where=tuple(where(cell, task, called, findings))
    )


def task_of(cell: type[Cell] | Step, arrays: Mapping[str, Array]) -> Task:
    start = start_of(as_problem(cell, arrays))
    right = sweep(start).blocks
    shapes: dict[str, tuple[int, ...]] = {}
    for name, _ in right:
        shapes[name] = np.concatenate([block for (n, _), block in right.items() if n == name]).shape
    return Task(start.step, arrays, start, right, shapes)


def find(task: Task, name: str, got: Array) -> Finding:
    """The finding on one tensor."""
    bound, expected = BOUNDS[got.dtype], task.expected(name)
    if got.shape != expected.shape:
        return Finding(name, None, bound, shape_problem(got, expected))
    wrong = np.argwhere(~np.isfinite(got))
    if len(wrong):
        index = tuple(map(int, wrong[0]))
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return Finding(name, None, bound, f"{name}{list(index)}{more} is not finite: {got[index]}")
    smallest = smallest_of(task.right)
    errors = {gate: distance(block, task.right[name, gate], smallest) for gate, block in in_blocks(task, name, got)}
    gates = tuple(gate for gate, error in errors.items() if gate and error > bound)
    steps: tuple[int, ...] = ()
    if got.ndim == 3:
        scale = float(np.linalg.norm(expected)) / len(got) ** 0.5
        off = [float(np.linalg.norm(g - e)) > bound * max(scale, np.linalg.norm(e)) for g, e in zip(got, expected)]
        steps = tuple(t for t, wrong_here in enumerate(off) if wrong_here)
    difference = np.abs(got - expected)
    index = tuple(map(int, np.unravel_index(np.argmax(difference), got.shape)))
    return Finding(
        name, max(errors.values()), bound, "", gates, steps, (index, float(expected[index]), float(got[index]))
    )


def in_blocks(task: Task, name: str, array: Array):
    gates = task.gates(name)
    return zip(gates, np.split(array, len(gates)))


def shape_problem(got: Array, expected: Array) -> str:
    """What is wrong about a shape, and what would make it right."""
    text = f"its shape is {got.shape}, it must be {expected.shape}"
    extra = got.ndim - expected.ndim
    if got.T.shape == expected.shape:
        return f"{text}: transpose it"
    if extra > 0 and got.shape[extra:] == expected.shape:
        axes = tuple(range(extra))
        right = distance(got.sum(axes), expected) <= 1e-4
        return f"{text}: sum it over the first {'axis' if extra == 1 else f'{extra} axes'}" + (
            ", then it is right" if right else ""
        )
    if got.size == expected.size:
        return f"{text}: reshape it"
    return text


def diagnosis_of(task: Task, answer: Mapping[str, Array], findings: tuple[Finding, ...]) -> Diagnosis:
    """The mistake behind the tensors that have the right shape and are finite."""
    usable = [finding for finding in findings if finding.error is not None]
    if all(finding.passed for finding in usable):
        return Diagnosis()
    blocks = {
        (finding.name, gate): block.astype(np.float64)
        for finding in usable
        for gate, block in in_blocks(task, finding.name, answer[finding.name])
    }
    bounds = {finding.name: finding.bound for finding in usable}
    return diagnose(task.start, blocks, {key: bounds[key[0]] for key in blocks})


def where(cell: type[Cell] | Step, task: Task, function: Function, findings: tuple[Finding, ...]) -> list[str]:
    """Sentences on where the gradients depart: in the backward pass, on shorter sequences, and by which numbers."""
    wrong = [finding for finding in findings if not finding.passed]
    T, B = task.arrays["x"].shape[:2]
    found: list[str] = []
    stepwise = [finding for finding in wrong if finding.steps and finding.name != "y"]
    if stepwise:
        first = max(stepwise, key=lambda finding: finding.steps[-1])
        t = first.steps[-1]
        before = (
            f"it is right at t = {t + 1}{f' to {T - 1}' * (t + 2 < T)}" if t + 1 < T else "the first step of the sweep"
        )
        found.append(f"In the backward pass, {first.name} is the first wrong tensor: at t = {t} ({before}).")
    if any(finding.name == "y" for finding in wrong):
        found.append("The outputs y are wrong, so the mistake is in the forward pass, or was made there too.")
    found.append(shorter(cell, task, function, T, B))
    for finding in wrong[:3]:
        if finding.worst:
            index, expected, got = finding.worst
            found.append(f"{finding.name}{list(index)} must be {expected:.9g}, got {got:.9g}.")
    return found


def shorter(cell: type[Cell] | Step, task: Task, function: Function, T: int, B: int) -> str:
    """The shortest sequence, from the first steps of all sequences, and whether one sequence alone is wrong."""

    def wrong_tensors(steps: int, sequences: int) -> list[str]:
        cut = {n: a if n in PARAMETERS else a[:, :sequences][:steps] if n in ("x", "dy") else a[:sequences]
               for n, a in task.arrays.items()}  # fmt: skip
        small = task_of(cell, cut)
        answer = ask(function, cut, small.shapes)
        return [name for name, got in answer.items() if not find(small, name, got).passed]

    try:
        for steps in range(1, min(T, MOST_STEPS) + 1):
            wrong = wrong_tensors(steps, B)
            if wrong:
                break
        else:
            return f"On the first {min(T, MOST_STEPS)} steps alone everything is right."
        alone = B > 1 and not wrong_tensors(steps, 1)
    except ArgumentError as error:
        return f"On shorter sequences the function cannot be called: {error}"
    if steps == 1:
        initial = all(name.endswith("_0") for name in wrong)
        place = "what the step passes to the step before it" if initial else "the step itself"
        text = f"A sequence of one step is already wrong in {', '.join(wrong)}, so the mistake is in {place}"
    else:
        text = (
            f"Sequences of {steps - 1} step{'s' * (steps > 2)} are right, those of {steps} are wrong in "
            f"{', '.join(wrong)}, so the mistake is in what is carried or summed over time"
        )
    return (
        f"{text}; with the first sequence alone it is right, so it is in the sum over the batch."
        if alone
        else f"{text}."
    )
