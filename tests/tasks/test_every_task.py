"""What holds for every task: shapes, seeds, the best score of right answers, the score of a guess, training."""

import math
import pickle

import pytest
import torch
from tests.insight.small import EVERY_CELL, make_layer
from tests.tasks.answers import ANSWERED, SMALL, answer, asked_classes, constant, draw, small

from tidegate.nn import build_layer
from tidegate.tasks import TASKS

each_task = pytest.mark.parametrize("name", SMALL)


def test_every_task_has_a_small_setting_here():
    assert list(SMALL) == list(TASKS)


@each_task
def test_a_batch_has_the_shapes_the_types_and_the_range_that_the_task_states(name):
    for task in (small(name), TASKS[name]()):
        batch = draw(task, 5)
        T = batch.x.shape[0]
        if task.indexed:
            assert batch.x.shape == (T, 5)
            assert batch.x.dtype == torch.int64
            assert 0 <= batch.x.min() <= batch.x.max() < task.input_size
        else:
            assert batch.x.shape == (T, 5, task.input_size)
            assert batch.x.dtype == torch.float32
        if task.of_classes:
            assert batch.target.shape == (T, 5)
            assert batch.target.dtype == torch.int64
            assert 0 <= asked_classes(batch).min() <= asked_classes(batch).max() < task.output_size
        else:
            assert batch.target.shape == (T, 5, task.output_size)
            assert batch.target.dtype == torch.float32
        assert batch.asked.shape == (T, 5)


@each_task
def test_every_class_of_input_and_output_occurs(name):
    if name == "text":
        return  # of a real text, most characters are rare
    task = small(name)
    batch = draw(task, 400)
    if task.indexed:
        used = task.input_size
        assert len(batch.x.unique()) == used
    if task.of_classes:
        unasked = {"anbn": {0}, "anbncn": {0}}.get(name, set())  # no question follows the first letter
        assert set(asked_classes(batch).tolist()) == set(range(task.output_size)) - unasked


@each_task
def test_the_seed_alone_determines_a_batch(name):
    task = small(name)
    generator = torch.Generator().manual_seed(3)
    first, second = task.batch(40, generator), task.batch(40, generator)
    torch.manual_seed(11)
    again, other = draw(task, 40, seed=3), draw(task, 40, seed=4)
    torch.testing.assert_close(again.x, first.x, rtol=0, atol=0)
    torch.testing.assert_close(again.target, first.target, rtol=0, atol=0, equal_nan=True)
    for different in (second, other):
        assert not torch.equal(different.x, first.x)


@each_task
def test_a_task_is_described_compared_and_pickled_by_its_parameters(name):
    task = small(name)
    assert pickle.loads(pickle.dumps(task)) == task == small(name)
    assert all(f"{parameter}={value!r}" in repr(task) for parameter, value in SMALL[name].items())
    assert all(part in (type(task).__doc__ or "") for part in ("Chance:", "Best:", "Metric:", "Source:"))
    assert all((task.source, task.metric))


@pytest.mark.parametrize("name", ANSWERED)
def test_right_answers_from_the_inputs_so_far_score_the_best(name):
    for task in (small(name), *small(name).tests().values()):
        batch = draw(task)
        assert task.score(answer(task, batch), batch) == pytest.approx(task.best, abs=1e-10)


@pytest.mark.parametrize("name", ANSWERED)
def test_one_wrong_output_scores_below_the_best_and_outputs_at_steps_without_a_target_change_nothing(name):
    task = small(name)
    batch = draw(task)
    outputs = answer(task, batch)
    t, b = batch.asked.nonzero()[-1].tolist()
    wrong = outputs.clone()
    wrong[t, b] = outputs[t, b].roll(1) if task.of_classes else outputs[t, b] + 1
    score = task.score(wrong, batch)
    assert score < task.best if task.higher_is_better else score > task.best
    outputs[~batch.asked] = 0.5
    assert task.score(outputs, batch) == pytest.approx(task.best, abs=1e-10)


GUESSES = {"break": 0, "adding": 1, "flip-flop": 0, "anbn": 2}  # the best constant; of others all are equal
SPREAD = {"break": 0.04, "adding": 0.004, "flip-flop": 1e-9}  # four standard errors of the score of 4,000 sequences


@pytest.mark.parametrize("name", [name for name in ANSWERED if name not in ("copy", "anbncn")])
def test_the_best_constant_guess_scores_chance(name):
    task = small(name)
    batch = draw(task, 20000 if name == "adding" else 4000)
    spread = SPREAD.get(name, 4 * math.sqrt(task.chance * (1 - task.chance) / 4000))
    all_guesses = range(task.output_size) if task.of_classes else (0.0, 0.9, 1.0, 1.1)
    scores = {guess: task.score(constant(task, batch, guess), batch) for guess in all_guesses}
    guesses = [GUESSES[name]] if name in GUESSES else scores
    for guess in guesses:
        assert scores[guess] == pytest.approx(task.chance, abs=spread)
    worst = -1 if task.higher_is_better else 1
    assert all(worst * (score - task.chance) > -spread for score in scores.values())


def test_the_published_baseline_of_adding_that_is_wrong_would_be_noticed():
    task = small("adding")
    batch = draw(task, 20000)
    assert abs(task.score(constant(task, batch, 1), batch) - 0.1767) > SPREAD["adding"]


@each_task
def test_chance_the_threshold_and_the_best_are_in_this_order(name):
    for task in (small(name), TASKS[name]()):
        order = [task.chance, task.solved] + ([] if task.best is None else [task.best])
        assert order == sorted(order, reverse=not task.higher_is_better)
        assert task.chance != task.solved


@each_task
def test_a_gru_learns_a_batch_of_every_task(name):
    task = small(name)
    batch = draw(task, 16)
    assert trained(task, build_layer("gru", task.input_size, 8), batch) < 0.97


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_every_cell_can_be_trained_on_a_task_of_indices_and_one_of_features(cell):
    for name in ("recall", "break"):
        task = small(name, marker="resets") if name == "break" else small(name)
        layer = make_layer(cell, task.input_size, 6).requires_grad_(True)
        batch = draw(task, 16)
        assert trained(task, layer.float(), batch) < 1


def trained(task, layer, batch, steps=25):
    """The loss on a batch after a few steps of training on it, as a share of the loss before."""
    torch.manual_seed(5)
    readout = torch.nn.Linear(layer.hidden_size, task.output_size)
    optimiser = torch.optim.Adam([*layer.parameters(), *readout.parameters()], lr=0.02)
    losses = []
    for _ in range(steps):
        states, _ = layer(batch.x, resets=batch.resets)
        loss = task.loss(readout(states), batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(math.isfinite(loss) for loss in losses)
    assert math.isfinite(task.score(readout(states), batch))
    return losses[-1] / losses[0]


def test_a_gru_solves_a_task_of_short_sequences():
    task = small("recall", length=3, symbols=2)
    torch.manual_seed(0)
    layer, readout = build_layer("gru", 2, 12), torch.nn.Linear(12, 2)
    optimiser = torch.optim.Adam([*layer.parameters(), *readout.parameters()], lr=0.03)
    generator = torch.Generator().manual_seed(0)
    for _ in range(80):
        batch = task.batch(32, generator)
        loss = task.loss(readout(layer(batch.x)[0]), batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    fresh = draw(task, 500, seed=9)
    assert task.score(readout(layer(fresh.x)[0]), fresh) >= task.solved
