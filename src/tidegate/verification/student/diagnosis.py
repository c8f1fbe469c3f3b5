"""The fewest planted mistakes whose gradients are the student's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tidegate.engines.reference.functions import Array
from tidegate.verification.student.backward import backward_mistakes
from tidegate.verification.student.forward import forward_mistakes
from tidegate.verification.student.mistake import Gradients, Mistake
from tidegate.verification.student.totals import wrong_totals
from tidegate.verification.student.trajectory import Key, Start, sweep

Blocks = Mapping[Key, Array]
MOST_ALTERNATIVES = 3


@dataclass(frozen=True)
class Found:
    """A mistake, the blocks that it explains, and their relative distance from those with the mistake planted."""

    mistake: Mistake
    blocks: tuple[Key, ...]
    distance: float


@dataclass(frozen=True)
class Diagnosis:
    """The mistakes that explain the wrong blocks together, the blocks that are not explained, and other mistakes that
    lead to the same numbers in all blocks that the student returned."""

    found: tuple[Found, ...] = ()
    unexplained: tuple[Key, ...] = ()
    alternatives: tuple[Mistake, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A mistake in the whole computation, or none, and how many of the student's blocks agree with it."""

    mistake: Mistake | None
    gradients: Gradients
    agree: tuple[Key, ...]
    differ: tuple[Key, ...]


@dataclass(frozen=True)
class Answer:
    """What a student returned, in blocks; the distance up to which each agrees with another array; and `smallest`."""

    blocks: Blocks
    bound: Mapping[Key, float]
    smallest: float

    def distance(self, key: Key, other: Array) -> float:
        return distance(self.blocks[key], other, self.smallest)

    def agrees(self, key: Key, other: Array) -> bool:
        return self.blocks[key].shape == other.shape and self.distance(key, other) <= self.bound[key]


def distance(got: Array, expected: Array, smallest: float = 0.0) -> float:
    """The norm of the difference, relative to that of the expected value, or to `smallest` where that is larger."""
    scale = max(float(np.linalg.norm(expected)), smallest)
    return float(np.linalg.norm(got - expected)) / scale if scale else float(np.linalg.norm(got))


def smallest_of(right: Blocks) -> float:
    """The norm below which a gradient is compared absolutely: rounding can exceed one of a saturated gate."""
    return 1e-6 * max(float(np.linalg.norm(block)) for block in right.values())


def diagnose(start: Start, student: Blocks, bound: Mapping[Key, float]) -> Diagnosis:
    """The mistakes in a student's blocks, of which some are wrong; `bound` is the distance at which two agree."""
    right = sweep(start)
    expected = right.blocks
    answer = Answer(student, bound, smallest_of(expected))
    wrong = {key for key in student if not answer.agrees(key, expected[key])}
    candidates = list(of_interest(start, Gradients(expected, right), answer))
    best: tuple[tuple[int, int], Candidate, dict[Key, Found]] | None = None
    # A mistake in the whole computation usually leaves some tensor as it is planted; the others are tried last.
    for candidate in sorted(
        candidates, key=lambda c: (c.mistake is not None and wrong.isdisjoint(c.agree), len(c.differ))
    ):
        fewest = (candidate.mistake is not None) + bool(candidate.differ)
        if best and best[0] <= (0, fewest):
            continue
        found, left = explain_rest(candidate, answer)
        kinds = {each.mistake.kind for each in found.values()}
        cost = len(left), len(kinds) + (candidate.mistake is not None)
        if best is None or cost < best[0]:
            best = cost, candidate, found
    assert best is not None
    _, candidate, local = best
    explained: list[Found] = []
    if candidate.mistake is not None:
        blocks = tuple(key for key in candidate.agree if key in wrong)
        explained.append(found_in(candidate.mistake, blocks, answer, candidate.gradients.blocks))
    for mistake in dict.fromkeys(each.mistake for each in local.values()):
        same = [each for each in local.values() if each.mistake == mistake]
        explained.append(Found(mistake, tuple(k for e in same for k in e.blocks), max(e.distance for e in same)))
    explained = [each for each in explained if each.blocks]
    known = {key for each in explained for key in each.blocks} | set(candidate.agree)
    unexplained = tuple(key for key in student if key in wrong | set(candidate.differ) and key not in known)
    if not explained:
        return Diagnosis((), tuple(key for key in student if key in wrong))
    return Diagnosis(tuple(explained), unexplained, tuple(same_numbers(candidates, candidate, len(explained))))


def of_interest(start: Start, right: Gradients, answer: Answer) -> Iterator[Candidate]:
    """No mistake, and every mistake in the whole computation that changes a gradient."""
    seen = [flat(right.blocks)]
    yield candidate_of(None, right, answer)
    for hypothesis in (*backward_mistakes(start), *forward_mistakes(start)):
        with np.errstate(all="ignore"):
            gradients = hypothesis.compute()
        if not all(np.isfinite(d).all() for d in gradients.blocks.values()):
            continue
        numbers = flat(gradients.blocks)
        if np.min(np.linalg.norm(np.stack(seen) - numbers, axis=1)) < 1e-11 * np.linalg.norm(numbers):
            continue
        seen.append(numbers)
        yield candidate_of(hypothesis.mistake, gradients, answer)


def candidate_of(mistake: Mistake | None, gradients: Gradients, answer: Answer) -> Candidate:
    agree = tuple(key for key in answer.blocks if answer.agrees(key, gradients.blocks[key]))
    return Candidate(mistake, gradients, agree, tuple(key for key in answer.blocks if key not in agree))


def flat(blocks: Blocks) -> Array:
    """The numbers of all blocks in one row, in the order of their keys."""
    return np.concatenate([blocks[key].ravel() for key in sorted(blocks)])


def explain_rest(candidate: Candidate, answer: Answer) -> tuple[dict[Key, Found], set[Key]]:
    """A mistake in one tensor for each block that differs from the candidate, and the blocks for which there is none.

    Where several mistakes explain a block, the one is taken that explains most blocks.
    """
    trajectory = candidate.gradients.trajectory
    if trajectory is None:
        return {}, set(candidate.differ)
    possible: dict[Key, list[Found]] = {}
    for key in candidate.differ:
        got = answer.blocks[key]
        for mistake, wrong in wrong_totals(trajectory, key):
            if answer.agrees(key, wrong) and not agrees_with_zero(got, mistake):
                possible.setdefault(key, []).append(Found(mistake, (key,), answer.distance(key, wrong)))
        if key not in possible and (times := multiple(got, candidate.gradients.blocks[key], answer.bound[key])):
            possible[key] = [
                Found(Mistake("wrong factor", f"the gradient is {times:.6g} times the right one."), (key,), 0.0)
            ]
    counts: dict[str, int] = {}
    for each in possible.values():
        for kind in {found.mistake.kind for found in each}:
            counts[kind] = counts.get(kind, 0) + 1
    chosen = {key: max(each, key=lambda found: counts[found.mistake.kind]) for key, each in possible.items()}
    return chosen, set(candidate.differ) - chosen.keys()


def agrees_with_zero(got: Array, mistake: Mistake) -> bool:
    """Whether a gradient is zero and the mistake is another one than that."""
    return not np.any(got) and mistake.kind != "gradient is zero"


def multiple(got: Array, right: Array, bound: float) -> float | None:
    """The number by which `right` is multiplied in `got`; None where there is none."""
    square = float(np.sum(right * right))
    if got.size < 2 or not square:
        return None
    times = float(np.sum(got * right)) / square
    return times if times and distance(got, times * right) <= bound else None


def found_in(mistake: Mistake, blocks: tuple[Key, ...], answer: Answer, planted: Blocks) -> Found:
    return Found(mistake, blocks, max((answer.distance(key, planted[key]) for key in blocks), default=0.0))


def same_numbers(candidates: list[Candidate], chosen: Candidate, mistakes: int) -> list[Mistake]:
    """Other single mistakes that agree with all the student's blocks."""
    if mistakes > 1 or chosen.differ or chosen.mistake is None:
        return []
    return [c.mistake for c in candidates if c is not chosen and c.mistake and not c.differ][:MOST_ALTERNATIVES]
