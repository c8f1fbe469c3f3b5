"""Each task agrees with its definition: positions of the relevant inputs, and published or derived figures."""

import math

import pytest
import torch
from tests.tasks.answers import answer, asked_classes, constant, draw, small

from tidegate.tasks import TASKS, find_task


def test_recall_has_one_target_at_the_last_symbol():
    batch = draw(find_task("recall", length=6, symbols=4), 7)
    assert batch.asked.nonzero()[:, 0].tolist() == [5] * 7
    assert torch.equal(batch.target[-1], batch.x[0])


def test_only_at_marks_one_step_and_has_a_target_at_every_later_one():
    batch = draw(small("only-at"), 8)
    assert (batch.x >= 3).nonzero()[:, 0].unique().tolist() == [4]
    assert batch.asked.any(1).tolist() == [t > 4 for t in range(9)]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_skip_has_the_share_of_irrelevant_inputs_that_was_requested(share):
    batch = draw(find_task("skip", length=42, irrelevant=share), 1000)
    inner = batch.x[1:-1] >= 8
    assert float(inner.double().mean()) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 40000) + 1e-12)
    assert bool((batch.x[0] < 8).all() and (batch.x[-1] < 8).all())
    assert batch.asked[-1].all()


def test_adding_marks_one_value_in_each_half_anywhere():
    batch = draw(small("adding"), 3000)
    marked = batch.x[..., 1]
    assert (marked[:5].sum(0) == 1).all()
    assert (marked[5:].sum(0) == 1).all()
    assert (marked.mean(1) * torch.tensor([5.0] * 5 + [6.0] * 6) > 0.8).all()
    assert 0 <= batch.x[..., 0].min() <= batch.x[..., 0].max() < 1


@pytest.mark.parametrize(("delay", "baseline"), [(100, 0.173), (500, 0.040), (1000, 0.0204)])
def test_copy_has_the_published_baseline(delay, baseline):
    task = find_task("copy", delay=delay)
    assert task.chance == pytest.approx(baseline, rel=0.01)
    assert task.chance == pytest.approx(10 * math.log(8) / (delay + 20))
    assert draw(task, 2).x.shape == (delay + 20, 2)


def test_copy_scores_its_chance_for_a_guess_that_depends_only_on_the_step():
    task = small("copy")
    batch = draw(task, 50)
    outputs = constant(task, batch, task.symbols)
    outputs[-task.count :] = torch.tensor([0.0] * task.symbols + [-100.0])
    assert task.score(outputs, batch) == pytest.approx(task.chance, rel=1e-6)
    assert batch.x[:2].max() < 3
    assert batch.x[2:].T.tolist() == [[3, 3, 4, 3, 3]] * 50


def test_the_symbols_of_a_selective_copy_are_anywhere_and_equally_often():
    batch = draw(small("selective-copy"), 3000)
    there = (batch.x[:9] < 3).double().mean(1)
    assert there.tolist() == pytest.approx([4 / 9] * 9, abs=4 * math.sqrt(20 / 81 / 3000))
    assert (batch.x[9:] == 4).all()


def test_the_relevant_symbols_of_temporal_order_are_in_their_tenths():
    batch = draw(find_task("temporal-order", length=50), 2000)
    assert (batch.x < 2).any(1).nonzero()[:, 0].tolist() == [5, 6, 7, 8, 9, 20, 21, 22, 23, 24]
    assert ((batch.x < 2).sum(0) == 2).all()


def test_the_lengths_of_parity_are_uniform_and_its_further_test_is_longer():
    task = small("parity")
    lengths = (draw(task, 7000).x < 2).sum(0).bincount(minlength=8)
    assert lengths[0] == 0
    assert lengths[1:].tolist() == pytest.approx([1000] * 7, abs=4 * math.sqrt(1000))
    ((name, longer),) = find_task("parity").tests().items()
    assert (name, longer.shortest, longer.longest) == ("length 41 to 100", 41, 100)
    assert ((draw(longer).x < 2).sum(0) > 40).all()


@pytest.mark.parametrize(("name", "letters"), [("anbn", "abT"), ("anbncn", "abcT")])
def test_counting_strings_have_equal_blocks_and_end(name, letters):
    task = find_task(name, least=2, most=4)
    batch = draw(task, 90)
    seen = set()
    for x, target in zip(batch.x.T.tolist(), batch.target.T.tolist()):
        word = "".join(letters[s] for s in x)
        n = word.count("a")
        assert word.rstrip("T") == "".join(n * letter for letter in letters[:-1])
        asked = "".join(letters[s] for s in target if s >= 0)
        assert asked == (word + "T")[n + 1 : len(letters[:-1]) * n + 1]
        seen.add(n)
    assert seen == {2, 3, 4}
    assert task.chance == 0
    ((words, longer),) = task.tests().items()
    assert (words, longer.least, longer.most) == ("n 5 to 8", 5, 8)


@pytest.mark.parametrize("name", ["anbn", "anbncn"])
def test_no_constant_guess_is_right_for_more_strings_than_chance(name):
    task = small(name)
    batch = draw(task, 4000)
    scores = [task.score(constant(task, batch, guess), batch) for guess in range(task.output_size)]
    assert max(scores) == pytest.approx(task.chance, abs=4 * math.sqrt(task.chance / 4000))


def test_the_last_bracket_is_independent_of_the_innermost_open_one():
    task = find_task("dyck", length=40, types=2, depth=5)
    batch = draw(task, 3000)
    last, wanted = batch.x[batch.asked] - 2, batch.target[batch.asked]
    assert float((last == wanted).double().mean()) == pytest.approx(1 / 2, abs=0.02)
    assert float((asked_classes(batch) == 0).double().mean()) == pytest.approx(1 / 2, abs=0.02)
    longer = task.tests()["length 80"]
    assert draw(longer, 2).x.shape == (80, 2)


def test_a_flip_flop_has_the_requested_share_of_pulses_and_one_at_the_beginning():
    batch = draw(find_task("flip-flop", length=101, pulse=0.3), 300)
    assert (batch.x[0].abs() == 1).all()
    assert float(batch.x[1:].abs().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(batch.x.sum()) / float(batch.x.abs().sum()) == pytest.approx(0, abs=0.02)


def test_half_of_the_delayed_symbols_match_and_the_target_is_independent_of_each_symbol_alone():
    task = small("delayed-match")
    batch = draw(task, 6000)
    assert (batch.x[1:-1] == 3).all()
    for symbols in (batch.x[0], batch.x[-1]):
        for symbol in range(3):
            share = float((batch.target[-1][symbols == symbol] == 1).double().mean())
            assert share == pytest.approx(1 / 2, abs=0.045)


def test_the_keys_of_a_sequence_are_different_and_any_of_them_can_be_the_query():
    batch = draw(small("associative-recall"), 3000)
    keys = batch.x[:-1:2]
    assert all(len(set(row)) == 3 for row in keys.T.tolist())
    asked = (keys == batch.x[-1]).double().mean(1)
    assert asked.tolist() == pytest.approx([1 / 3] * 3, abs=0.035)


class TestBreak:
    def test_the_three_forms_of_a_break_have_the_same_values_and_targets(self):
        drawn = {marker: draw(small("break", marker=marker), 30) for marker in ("input", "resets", "none")}
        for marker, batch in drawn.items():
            assert torch.equal(batch.x[..., 0], drawn["input"].x[..., 0])
            assert torch.equal(batch.target, drawn["input"].target)
            assert (batch.resets is not None) == (marker == "resets")
        assert torch.equal(drawn["resets"].resets.T, drawn["input"].x[..., 1] == 1)

    @pytest.mark.parametrize("marker", ["input", "resets"])
    def test_right_outputs_leak_nothing(self, marker):
        task = small("break", marker=marker)
        batch = draw(task)
        outputs = answer(task, batch)
        assert task.score(outputs, batch) == pytest.approx(0, abs=1e-10)
        assert task.figures(outputs, batch)["leak"] == pytest.approx(0, abs=1e-6)

    def test_chance_is_the_closed_form_of_the_docstring(self):
        for T, segment in ((17, 5.0), (40, 10.0), (9, 1.5)):
            q = 1 - 1 / segment
            expected = 1 - q * (1 - q**T) / (T * (1 - q))
            assert find_task("break", length=T, segment=segment).chance == pytest.approx(expected)

    def test_without_a_marker_the_leaky_sum_scores_the_best_and_other_leaks_worse(self):
        task = find_task("break", marker="none", length=30, segment=6.0)
        batch = draw(task, 6000)
        scores = {leak: task.score(leaky(task, batch, leak), batch) for leak in (0.73, 5 / 6, 0.93)}
        assert scores[5 / 6] == pytest.approx(task.best, rel=0.03)
        assert scores[5 / 6] == min(scores.values())
        assert task.best < task.solved < task.chance

    def test_a_sum_that_never_restarts_leaks_the_whole_previous_segment(self):
        task = find_task("break", marker="input", length=30, segment=6.0)
        batch = draw(task, 6000)
        assert task.figures(leaky(task, batch, 1.0), batch)["leak"] == pytest.approx(1, abs=0.05)
        assert 0.2 < task.figures(leaky(task, batch, 5 / 6), batch)["leak"] < 0.8

    def test_without_a_break_no_leak_is_given(self):
        task = find_task("break", length=5, segment=1e9)
        batch = draw(task, 3)
        assert task.figures(batch.target, batch) == {}


def leaky(task, batch, factor):
    total, sums = torch.zeros(batch.x.shape[1]), []
    for v in batch.x[..., 0]:
        total = factor * total + v
        sums.append(total)
    return torch.stack(sums)[..., None] * math.sqrt(1 / task.segment)


def test_only_the_tasks_of_finite_data_have_held_out_data():
    for name, kind in TASKS.items():
        task = kind()
        assert (task.heldout() is task) == (name not in ("digits", "text"))
        assert bool(task.data) == (name in ("digits", "text"))
