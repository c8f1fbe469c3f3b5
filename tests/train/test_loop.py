import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn.utils import clip_grad_norm_, get_total_norm

from tidegate.train import loop
from tidegate.train.interrupt import Interrupt
from tidegate.train.log import read
from tidegate.train.loop import optimiser
from tidegate.train.model import cross_entropy
from tidegate.train.recipe import Recipe
from tidegate.train.update import step_by_torch


def evaluations(trainer):
    return [record["step"] for record in read(trainer.log.path) if record["kind"] == "evaluation"]


PLAIN = {
    "optimizer": "sgd",
    "lr": 0.7,
    "weight_decay": 0.0,
    "schedule": "constant",
    "clip": 0.3,
    "dropout": 0.0,
    "epochs": 2,
}


def test_the_loop_makes_the_steps_that_a_plain_loop_makes(trainer_of):
    trainer = trainer_of(**PLAIN)
    twin = trainer_of(**PLAIN)
    trainer.train(Interrupt())

    model, sgd = twin.model, torch.optim.SGD(twin.model.parameters(), lr=0.7)
    for epoch in range(2):
        state = None
        for x, y in twin.batches.epoch(epoch):
            scores, state = model(x, state)
            state = state.detach()
            sgd.zero_grad()
            cross_entropy(scores, y).backward()
            clip_grad_norm_(model.parameters(), 0.3)
            sgd.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(trainer.model.get_parameter(name), parameter, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("clip", [0.1, 100.0])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_clipped_step_is_clipping_and_a_step(name, clip, fused):
    recipe = Recipe(optimizer=name, lr=0.1, clip=clip, epochs=1)
    twins = [[torch.nn.Parameter(torch.linspace(-1, 1, n)) for n in (40, 3)] for _ in range(2)]
    ours, torchs = (optimiser(recipe, parameters) for parameters in twins)
    ours.param_groups[0]["fused"] = fused  # False as on devices without it
    for step in (1, 2, 3):
        for parameters in twins:
            for p in parameters:
                p.grad = torch.linspace(-2, 3, len(p)) * step
        step_by_torch(ours, float(get_total_norm([p.grad for p in twins[0]])), clip)
        clip_grad_norm_(twins[1], clip)
        torchs.step()
    torch.testing.assert_close(*twins, rtol=1e-5, atol=1e-6)


def test_training_lowers_the_loss_and_advances_the_position(trainer_of):
    trainer = trainer_of(hidden=16, lr=0.02, epochs=10)
    trainer.train(Interrupt())
    per_epoch = [trainer.batches.count(epoch) for epoch in range(10)]
    position = trainer.position
    assert (position.step, position.epoch, position.batch) == (sum(per_epoch), 10, 0)
    assert position.tokens == position.step * 4 * 10
    assert len(position.losses) == max(100, per_epoch[-1])
    assert trainer.heldout.bpc < 0.3 * math.log2(len(trainer.dataset.vocabulary))


def test_evaluations_are_twelve_or_every_given_number_of_steps_and_one_at_the_end(trainer_of):
    spread = trainer_of(epochs=3)
    spread.train(Interrupt())
    steps = evaluations(spread)
    assert len(steps) == 12
    assert steps[-1] == spread.position.step

    spread.log.path.unlink()
    asked = trainer_of(epochs=3, eval_every=20)
    asked.train(Interrupt())
    assert evaluations(asked) == [20, 40, 60, 80, 81]


def test_evaluating_does_not_disturb_the_training(trainer_of):
    heads = []
    for eval_every in (5, 1000):
        trainer = trainer_of(eval_every=eval_every, dropout=0.2)
        trainer.train(Interrupt())
        heads.append(trainer.model.head.weight)
    assert torch.equal(*heads)


def test_the_best_checkpoint_is_the_one_with_the_lowest_held_out_loss(trainer_of):
    trainer = trainer_of(lr=0.05, epochs=6)
    trainer.train(Interrupt())
    found = [record for record in read(trainer.log.path) if record["kind"] == "evaluation"]
    best = min(found, key=lambda record: record["heldout_bpc"])
    assert trainer.position.best.step == best["step"]
    assert trainer.position.best.heldout_bpc == best["heldout_bpc"]
    assert trainer.saved.count("best") == sum(record["best"] for record in found)


TICK = 0.01  # seconds that pass between two looks at the clock


@pytest.fixture
def clock(monkeypatch):
    """A clock of the training loop that moves on by TICK whenever it is read."""
    readings = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(readings) * TICK))


@pytest.mark.usefixtures("clock")
def test_minutes_end_a_run_and_move_its_learning_rate(trainer_of):
    trainer = trainer_of(epochs=None, minutes=0.01)
    rates = []
    trainer.train(Interrupt(), lambda trainer: rates.append(trainer.optimizer.param_groups[0]["lr"]))
    assert 0.6 <= trainer.position.seconds < 0.6 + 5 * TICK  # a step reads the clock five times at most
    assert rates[-1] < 0.2 * max(rates)


@pytest.mark.usefixtures("clock")
def test_epochs_and_minutes_end_a_run_at_whichever_comes_first(trainer_of):
    short = trainer_of(epochs=10_000, minutes=0.005)
    short.train(Interrupt())
    assert short.position.epoch < 10
    long = trainer_of(epochs=1, minutes=60.0)
    long.train(Interrupt())
    assert (long.position.epoch, long.position.batch) == (1, 0)


def test_a_run_of_many_epochs_starts_without_counting_all_of_them(trainer_of, monkeypatch):
    trainer = trainer_of(epochs=10**12, minutes=60.0)
    counted = []
    monkeypatch.setattr(trainer, "count", lambda epoch: counted.append(epoch) or 27 + epoch % 2)
    assert trainer.total_steps == 27.5 * 10**12
    assert len(counted) == loop.COUNTED


def test_a_run_whose_steps_are_estimated_ends_after_its_last_epoch(trainer_of, monkeypatch):
    exact = trainer_of(epochs=5)
    exact.train(Interrupt())
    for counted in (1, 2):
        monkeypatch.setattr(loop, "COUNTED", counted)
        estimated = trainer_of(epochs=5)
        estimated.train(Interrupt())
        assert estimated.position.step == exact.position.step
        assert estimated.progress == 1.0


def test_a_run_is_determined_by_its_seed(trainer_of):
    def head(seed):
        trainer = trainer_of(seed=seed, epochs=1)
        trainer.train(Interrupt())
        return trainer.model.head.weight

    assert torch.equal(head(5), head(5))
    assert not torch.equal(head(5), head(6))


@pytest.mark.parametrize(("sampling", "carried"), [("sequential", True), ("random", False)])
def test_the_state_is_carried_between_sequential_batches_only(trainer_of, sampling, carried):
    trainer = trainer_of(sampling=sampling, engine="eager")
    given = []
    forward = trainer.model.recurrent.forward
    trainer.model.recurrent.forward = lambda x, state=None: given.append(state) or forward(x, state)
    for _ in range(3):
        trainer.step()
    assert given[0] is None
    assert [state is not None for state in given[1:]] == [carried, carried]
    assert not any(state.requires_grad for state in given if state is not None)
