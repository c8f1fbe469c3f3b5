"""Recorded steps without torch's graph: bit by bit those of `loss.backward()`."""

import os
import threading

import pytest
import torch
from tests.engines.cpu.memory import fenced_take, poisoned
from tests.own_cell import Leaky
from tests.train.recorded import B, H, T, V, batch, both, same, step, with_graph

from tidegate.cells import CELLS
from tidegate.engines.cpu import kernels, workspace
from tidegate.errors import IndicesError, ShapeError
from tidegate.train import direct
from tidegate.train.interrupt import Interrupt
from tidegate.train.model import LanguageModel


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("layers", "dropout"), [(1, 0.0), (2, 0.3)])
@pytest.mark.parametrize("cell", [*CELLS, Leaky])
def test_steps_have_the_bits_of_the_graph(cell, layers, dropout, dtype):
    model = LanguageModel(cell, V, H, layers=layers, dropout=dropout).to(dtype)
    assert direct.usable(model, "cpu")
    recorded, state = direct.Direct(model), None
    for k in range(4):
        x, y = batch()
        y[6, k] = -100
        equal, state = both(recorded, x, y, state)
        assert equal
        with torch.no_grad():
            for p in model.parameters():
                p.sub_(0.1 * p.grad)
        if k == 1:
            state = None


@pytest.mark.parametrize(("layers", "hidden", "size"), [(1, 16, 1), (1, 33, 2), (3, 7, 6)])
def test_sizes_that_are_no_multiples_of_a_vector(layers, hidden, size):
    recorded, state = direct.Direct(LanguageModel("lstm", V, hidden, layers=layers)), None
    for _ in range(3):
        equal, state = both(recorded, *batch(size=size), state)
        assert equal


def test_a_vocabulary_that_is_large_for_a_batch():
    model = LanguageModel("gru", 500, H)
    recorded, state = direct.Direct(model), None
    for _ in range(3):
        equal, state = both(recorded, torch.randint(500, (T, B)), torch.randint(500, (T, B)), state)
        assert equal


def test_a_planted_error_in_dropout_is_found(monkeypatch):
    model = LanguageModel("gru", V, H, layers=2, dropout=0.3)
    monkeypatch.setattr(torch.Tensor, "div_", lambda t, _: t)
    ours, _ = step(direct.Direct(model), *batch(), None)
    monkeypatch.undo()
    assert not same(ours, with_graph(model, *batch(), None))


def test_gradients_are_the_same_tensors_in_every_step_and_new_ones_where_a_caller_has_replaced_one():
    model = LanguageModel("gru", V, H)
    recorded = direct.Direct(model)
    recorded.set_gradients(*batch(), None)
    first, pass_of_first = [p.grad for p in model.parameters()], recorded.recorded
    recorded.set_gradients(*batch(), None)
    assert all(p.grad is g for p, g in zip(model.parameters(), first))
    assert recorded.recorded is pass_of_first
    kept = [g.clone() for g in first]
    model.zero_grad()
    recorded.set_gradients(*batch(), None)
    assert all(p.grad is not g for p, g in zip(model.parameters(), first))
    assert all(torch.equal(g, k) for g, k in zip(first, kept))


def test_a_state_is_never_written_again():
    recorded, state, states = direct.Direct(LanguageModel("lstm", V, H, layers=2)), None, []
    for _ in range(4):
        state = recorded.set_gradients(*batch(), state).state
        states.append((state, tuple(t.clone() for t in state)))
    assert all(torch.equal(a, b) for now, then in states for a, b in zip(now, then))


def test_other_forms_of_batches_and_states():
    recorded = direct.Direct(LanguageModel("lstm", V, H, layers=2))
    _, state = both(recorded, *batch(), None)
    strided = tuple(t.transpose(1, 2).contiguous().transpose(1, 2) for t in state)
    assert both(recorded, *batch(), strided)[0]
    assert both(recorded, *(t.t().contiguous().t() for t in batch()), state)[0]
    x, y = batch()
    assert both(recorded, x.int(), y.int(), state)[0]
    assert both(recorded, *batch(3), state)[0]
    assert both(recorded, *batch(3, 8), None)[0]
    with pytest.raises(ShapeError, match=r"`state` must have shape \(layers, B, H\) = \(2, 8, 9\), got \(2, 5, 9\)"):
        recorded.set_gradients(*batch(3, 8), state)
    with pytest.raises(ShapeError, match=r"`x` and `y` must have the same shape \(T, B\), got \(7, 5\) and \(3, 5\)"):
        recorded.set_gradients(batch()[0], batch(3)[1], None)


@pytest.mark.parametrize("wrong", [-1, V, 2**40])
def test_numbers_that_are_no_classes_are_errors_and_change_nothing(wrong):
    model = LanguageModel("gru", V, H)
    recorded = direct.Direct(model)
    recorded.set_gradients(*batch(), None)
    before = [p.grad.clone() for p in model.parameters()]
    for k, message in enumerate(
        ["class indices in `input` must be in 0..10", "`target` must be class indices in 0..1"]
    ):
        given = batch()
        given[k][3, 2] = wrong
        with pytest.raises(IndicesError, match=message):
            recorded.set_gradients(*given, None)
        assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before))
    with pytest.raises(IndicesError):
        direct.Direct(model).set_gradients(given[1], given[0], None)


def test_it_follows_torchs_precision_switch():
    recorded, (x, y) = direct.Direct(LanguageModel("gru", V, 20, layers=2)), batch()
    found = {}
    for level in ("highest", "medium"):
        torch.set_float32_matmul_precision(level)
        try:
            assert both(recorded, x, y, None)[0]
            found[level] = recorded.set_gradients(x, y, None).state
        finally:
            torch.set_float32_matmul_precision("highest")
    assert torch.equal(found["highest"], found["medium"]) is not kernels.here().pairs


# -- runs ----------------------------------------------------------------------------------------------------------


def ran(trainer, graph=False):
    """The weights after a run."""
    assert trainer.direct is not None
    if graph:
        trainer.direct = None
    trainer.train(Interrupt())
    return list(trainer.model.parameters())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("sampling", ["sequential", "random"])
@pytest.mark.parametrize("cell", ["lstm", Leaky])
def test_a_run_has_the_same_weights_with_and_without_a_graph(trainer_of, cell, sampling, optimizer):
    fields = {"cell": cell, "sampling": sampling, "optimizer": optimizer, "dropout": 0.2, "layers": 2, "epochs": 1}
    assert all(torch.equal(a, b) for a, b in zip(ran(trainer_of(**fields)), ran(trainer_of(**fields), graph=True)))


def test_several_trainers_take_turns(trainer_of):
    """Trainers of one process, and in threads of their own, make the steps that each makes alone."""
    recipes = [{"cell": cell, "epochs": 1, "dropout": 0.0} for cell in ("gru", "lstm", "rnn")]
    expected = [ran(trainer_of(**fields)) for fields in recipes]
    trainers = [trainer_of(**fields) for fields in recipes]
    while trainers[0].progress < 1:
        for trainer in trainers:
            trainer.step()
    in_threads = [trainer_of(**fields) for fields in recipes]

    def run(trainer):
        while trainer.progress < 1:
            trainer.step()

    threads = [threading.Thread(target=run, args=(trainer,)) for trainer in in_threads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in (trainers, in_threads):
        for trainer, weights in zip(found, expected):
            assert all(torch.equal(a, b) for a, b in zip(trainer.model.parameters(), weights))


def test_a_forked_child_makes_the_steps_of_its_parent():
    model = LanguageModel("gru", V, H)
    recorded, (x, y) = direct.Direct(model), batch()
    state = recorded.set_gradients(x, y, None).state
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        found = recorded.set_gradients(x, y, state)
        os.write(write, repr((found.loss, found.norm)).encode())
        os._exit(0)
    ours = recorded.set_gradients(x, y, state)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert os.read(read, 100).decode() == repr((ours.loss, ours.norm))
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(("cell", "dropout"), [("gru", 0.0), ("lstm", 0.3), ("rnn", 0.3)])
def test_memory_is_written_before_it_is_read_and_not_accessed_beyond_its_end(cell, dropout, monkeypatch):
    monkeypatch.setattr(workspace, "SMALL", 0)
    with poisoned(fenced_take):
        recorded, state = direct.Direct(LanguageModel(cell, V, 13, layers=2, dropout=dropout)), None
        for _ in range(3):
            equal, state = both(recorded, *batch(), state)
            assert equal


def test_the_memory_of_a_trainer_is_counted_and_goes_back():
    before = workspace.pool.in_use()
    model = LanguageModel("gru", V, 80)
    recorded = direct.Direct(model)
    recorded.set_gradients(*batch(35, 32), None)
    used = workspace.pool.in_use()
    assert used > before
    for _ in range(3):
        recorded.set_gradients(*batch(35, 32), None)
        assert workspace.pool.in_use() == used
    model.zero_grad()
    recorded.set_gradients(*batch(35, 32), None)
    assert workspace.pool.in_use() == used
    del recorded
    model.zero_grad()
    assert workspace.pool.in_use() == before


class Other(LanguageModel):
    pass


def tied():
    model = LanguageModel("gru", 7, 7)
    model.head.weight = model.recurrent.get_parameter("weight_hh_l0")
    return model


def frozen():
    model = LanguageModel("gru", 5, 7)
    model.head.weight.requires_grad_(False)
    return model


def with_another_part():
    model = LanguageModel("gru", 5, 7)
    model.embedding = torch.nn.Embedding(5, 5)
    return model


@pytest.mark.parametrize(
    "make",
    [tied, frozen, with_another_part, lambda: Other("gru", 5, 7), lambda: LanguageModel("gru", 5, 7).bfloat16()],
)
def test_other_models_use_the_graph(make):
    assert not direct.usable(make(), "cpu")


def test_a_run_goes_on_with_the_graph_and_without_it_again(trainer_of):
    found = []
    for graph in (False, True):
        trainer = trainer_of(epochs=1, dropout=0.0)
        if graph:
            trainer.direct = None
        frozen = trainer.model.recurrent.bias_hh_l0
        for k in range(9):
            frozen.requires_grad_(not 3 <= k < 6)
            trainer.step()
        found.append([*trainer.position.losses, *(p.detach().clone() for p in trainer.parameters)])
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(*found))


def test_other_engines_use_the_graph(trainer_of):
    assert trainer_of(engine="eager").direct is None
    assert trainer_of(engine="cpu").direct is not None
