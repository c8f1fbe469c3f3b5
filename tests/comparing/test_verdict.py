"""Verdicts: what is claimed of planted and of absent differences."""

import itertools

import numpy as np
import pytest
from tests.comparing.own import Echo, Mean

from tidegate.comparing.outcome import Outcome
from tidegate.comparing.sentences import verdict_sentence
from tidegate.comparing.verdict import Paired, pair_up, verdicts


def bimodal(random: np.random.Generator, arms: int, seeds: int) -> np.ndarray:
    """Scores as they occur: some seeds solve the task, the others stay near chance, and seeds are hard or easy for
    all arms. Arms are exchangeable."""
    hard = random.random(seeds)
    solved = random.random((arms, seeds)) > hard
    return np.where(solved, 1.0, 0.2 + 0.1 * random.random((arms, seeds)))


def paired(scores: np.ndarray) -> list[Paired]:
    arms = range(len(scores))
    return [Paired(f"a{i}", f"a{j}", "accuracy", scores[i] - scores[j], 1) for i in arms for j in arms if i < j]


def simulated(random: np.random.Generator, arms: int, seeds: int, hardness: float) -> list[Paired]:
    """Pairs of exchangeable arms as `pair_up` makes them: runs that solve the task after some steps, or do not."""
    hard = hardness * random.random(seeds)

    def run(seed: int) -> Outcome:
        solves = random.random() >= hard[seed]
        return solved(seed, 100 * int(random.integers(1, 12))) if solves else unsolved(seed, 0.2 + random.random() / 10)

    runs = {f"a{k}": [run(seed) for seed in range(seeds)] for k in range(arms)}
    return [pair_up(Echo(), a, b, runs[a], runs[b], None) for a, b in itertools.combinations(runs, 2)]


def test_of_200_comparisons_without_a_difference_at_most_5_percent_claim_one():
    random = np.random.default_rng(0)
    kinds = itertools.product((0.0, 0.05, 0.3, 1.0), [(2, 6), (2, 10), (3, 8), (4, 10)], range(25))
    pairs = [simulated(random, arms, seeds, hardness) for hardness, (arms, seeds), k in kinds if k % 2]
    pairs += [paired(random.normal(0.5, 0.1, (1, 8)) + random.normal(0, 0.1, (3, 8))) for _ in range(8)]
    assert len(pairs) == 200
    assert {pair.measure for own in pairs for pair in own} == {"accuracy", "steps"}
    claims = sum(any(v.kind == "better" for v in verdicts(own)) for own in pairs)
    assert claims <= 10


def test_a_test_without_correction_claims_more_so_that_the_simulation_can_fail():
    random = np.random.default_rng(0)
    naive = [
        any(pair.differences.any() and v.p <= 0.05 for pair in paired(bimodal(random, 5, 10)) for v in verdicts([pair]))
        for _ in range(60)
    ]
    assert sum(naive) > 0.08 * 60


def test_a_planted_difference_is_detected_with_its_size_and_sign():
    random = np.random.default_rng(1)
    noise = random.normal(0, 0.02, (3, 10))
    scores = np.array([0.6, 0.6, 0.9])[:, None] + noise
    first, second, third = verdicts(paired(scores))
    assert (first.kind, first.better) == ("no difference", None)
    for verdict in (second, third):
        assert (verdict.kind, verdict.better) == ("better", "a2")
        assert verdict.low < verdict.difference < verdict.high < 0
        assert verdict.difference == pytest.approx(-0.3, abs=0.03)
        assert "a2 is better than a" in verdict_sentence(verdict)
        assert "on this task at this budget" in verdict_sentence(verdict)


def test_too_few_seeds_are_said_with_the_number_that_is_needed():
    scores = np.array([[0.9] * 5, [0.1] * 5, [0.5] * 5])
    found = verdicts(paired(scores))
    assert {v.kind for v in found} == {"too few seeds"}
    assert "With 5 the smallest possible p-value is 0.062; 7 seeds are needed for 3 pairs." in verdict_sentence(
        found[0]
    )


def test_no_difference_names_the_difference_that_would_have_been_seen():
    random = np.random.default_rng(5)
    (found,) = verdicts([Paired("x", "y", "accuracy", random.normal(0, 0.1, 10), 1)])
    assert found.kind == "no difference"
    assert found.detectable == pytest.approx(0.1, abs=0.06)
    assert "would have been detected in 80 % of such comparisons" in verdict_sentence(found)


def test_a_share_cannot_differ_by_more_than_1():
    differences = np.array([1.0, -1.0] * 3)
    share, loss = (verdicts([Paired("x", "y", name, differences, 1)])[0] for name in ("accuracy", "mse"))
    assert "; not even a difference of 1 would have been detected in 80 %" in verdict_sentence(share)
    assert "; a difference of 1." in verdict_sentence(loss)


def solved(seed: int, at: int, score: float = 1.0) -> Outcome:
    return Outcome(seed=seed, status="solved", score=score, solved_at=at)


def unsolved(seed: int, score: float) -> Outcome:
    return Outcome(seed=seed, status="unsolved", score=score)


def test_arms_that_always_solve_the_task_are_compared_by_their_steps():
    a = [solved(seed, 100 + seed) for seed in range(8)]
    b = [solved(seed, 200 + 3 * seed, 0.999) for seed in range(8)]
    pair = pair_up(Echo(), "a", "b", a, b, None)
    assert pair.measure == "steps"
    assert pair.differences == pytest.approx([-100 - 2 * seed for seed in range(8)])
    (found,) = verdicts([pair])
    assert found.better == "a"
    assert "a in 107 fewer steps" in verdict_sentence(found)


def test_at_equal_time_they_are_compared_by_the_seconds_until_solved():
    pair = pair_up(
        Echo(), "a", "b", [solved(s, 100) for s in range(6)], [solved(s, 60) for s in range(6)], {"a": 0.1, "b": 0.2}
    )
    assert (pair.measure, list(pair.differences)) == ("seconds", pytest.approx([-2.0] * 6))


def test_small_differences_beyond_the_threshold_do_not_count():
    """Training ends where the task is solved, so a score beyond it says nothing."""
    a = [solved(0, 100, 0.9991), unsolved(1, 0.4)]
    b = [solved(0, 100, 0.9999), unsolved(1, 0.5)]
    assert list(pair_up(Echo(), "a", "b", a, b, None).differences) == pytest.approx([0.0, -0.1])


def test_a_lower_error_is_better_and_only_common_seeds_are_paired():
    a = [unsolved(seed, 0.01 + seed / 1e4) for seed in range(9)]
    b = [Outcome(seed=0, status="failed", reason="lost"), *(unsolved(seed, 0.05 + seed / 1e3) for seed in range(1, 9))]
    pair = pair_up(Mean(), "a", "b", a, b, None)
    (found,) = verdicts([pair])
    assert (found.seeds, found.measure, found.better) == (8, "mse", "a")


def test_equal_scores_are_no_difference():
    (found,) = verdicts([pair_up(Echo(), "a", "b", *([unsolved(s, 0.5) for s in range(6)] for _ in "ab"), None)])
    assert verdict_sentence(found) == "a and b: no difference seen; the difference in accuracy is 0 with every seed."


def test_what_two_arms_have_in_common_is_said_once():
    differences = np.linspace(0.2, 0.3, 8)
    (found,) = verdicts(
        [Paired("lstm, init chrono, length 50", "lstm, init default, length 50", "mse", differences, -1)]
    )
    said = (
        "init default is better than init chrono (lstm, length 50) on this task at this budget: mse differs by 0.25 ("
    )
    assert verdict_sentence(found).startswith(said)


def test_an_interval_of_a_share_is_cut_at_the_largest_difference_that_is_possible():
    runs = {"a": [unsolved(0, 0.9), unsolved(1, 0.1)], "b": [unsolved(0, 0.1), unsolved(1, 0.2)]}
    (share,) = verdicts([pair_up(Echo(), "a", "b", runs["a"], runs["b"], None)])
    assert (share.low, share.high) == (-Echo.solved, Echo.solved)
    assert 0 < Echo.solved <= 1
    (single,) = verdicts([pair_up(Echo(), "a", "b", runs["a"][:1], runs["b"][:1], None)])
    assert (single.low, single.high) == (-Echo.solved, Echo.solved)
    (error,) = verdicts([pair_up(Mean(), "a", "b", runs["a"], runs["b"], None)])
    assert error.low < -1
    assert error.high > 1
