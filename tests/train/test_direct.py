"""Recorded steps without torch's graph: bit by bit those of `loss.backward()`, whatever changes between two steps."""

import os
import random
import threading

import pytest
import torch
from tests.engines.cpu.memory import fenced_take, poisoned

import tidegate
from tidegate.cells import CELLS
from tidegate.engines.cpu import fixed, kernels, workspace
from tidegate.errors import IndicesError, ShapeError
from tidegate.train import direct
from tidegate.train.interrupt import Interrupt
from tidegate.train.model import LanguageModel, detach

V, H, T, B = 11, 9, 7, 5


class Leaky(tidegate.Cell):
    """n = tanh(W_n x + b_n + U_n h + c_n), h' = h / 2 + n / 2"""

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = tidegate.tanh(a.n + U.n(h))
        return (0.5 * h + 0.5 * n,), (n,)


def batch(steps=T, size=B):
    return torch.randint(V, (steps, size)), torch.randint(V, (steps, size))


def with_graph(model, x, y, state):
    """(loss, states, gradients) with torch's graph; the gradients of the model are left as they were."""
    before = [p.grad for p in model.parameters()]
    model.zero_grad()
    loss, after = model.loss(x, y, state)
    loss.backward()
    found = [loss.item(), *parts(detach(after)), *(p.grad for p in model.parameters())]
    for p, gradient in zip(model.parameters(), before):
        p.grad = gradient
    return found


def parts(state):
    return (state,) if isinstance(state, torch.Tensor) else state


def step(recorded, x, y, state):
    """(loss, states, gradients) of a recorded step, and its result."""
    found = recorded.set_gradients(x, y, state)
    return [found.loss, *parts(found.state), *(p.grad for p in recorded.model.parameters())], found


def same(ours, graph):
    assert len(ours) == len(graph)
    assert all(not t.requires_grad for t in ours[1:])
    return ours[0] == graph[0] and all(torch.equal(a, b) for a, b in zip(ours[1:], graph[1:]))


def both(recorded, x, y, state):
    """Whether a step has the bits of the graph, with the same random numbers; and its state."""
    drawn = torch.get_rng_state()
    graph = with_graph(recorded.model, x, y, state)
    torch.set_rng_state(drawn)
    ours, found = step(recorded, x, y, state)
    norm = torch.stack([p.grad.double().norm() for p in recorded.model.parameters()]).norm().item()
    overflows = norm > 1e18  # the square does, in float32
    return same(ours, graph) and (overflows or found.norm == pytest.approx(norm, rel=1e-5)), found.state


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


# -- what changes between two steps -----------------------------------------------------------------------------------


def new_values(model):
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.5)


def loaded(model):
    model.load_state_dict({name: torch.randn_like(value) for name, value in model.state_dict().items()})


def moved(model):
    for p in model.parameters():
        p.data = p.data.clone() * 2


def one_moved(model):
    model.recurrent.weight_hh_l0.data = torch.randn_like(model.recurrent.weight_hh_l0)


def replaced(model):
    model.recurrent.weight_hh_l0 = torch.nn.Parameter(torch.randn_like(model.recurrent.weight_hh_l0))


def other_head(model):
    model.head = torch.nn.Linear(H, V, dtype=model.head.weight.dtype)


def no_gradients(model):
    model.zero_grad()


def gradients_of_zeros(model):
    model.zero_grad(set_to_none=False)


def one_other_gradient(model):
    p = model.recurrent.weight_hh_l0
    p.grad = torch.randn_like(p)


def moved_gradient(model):
    g = model.head.weight.grad
    if g is not None:
        g.data = g.data.clone()


def evaluated(model):
    model.eval()


def other_dropout(model):
    model.dropout.p = 0.6


def two_threads(_):
    torch.set_num_threads(2)


def medium(_):
    torch.set_float32_matmul_precision("medium")


CHANGES = [
    new_values, loaded, moved, one_moved, replaced, other_head, no_gradients, gradients_of_zeros, one_other_gradient,
    moved_gradient, evaluated, other_dropout, two_threads, medium,
]  # fmt: skip


@pytest.fixture
def switches():
    """Switches of torch, which are restored."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("switches")
@pytest.mark.parametrize("change", CHANGES)
def test_after_any_change_a_step_has_the_bits_of_the_graph(change):
    model = LanguageModel("gru", V, H, layers=2, dropout=0.3)
    recorded, state = direct.Direct(model), None
    for _ in range(2):
        _, state = both(recorded, *batch(), state)
    change(model)
    for _ in range(2):
        equal, state = both(recorded, *batch(), state)
        assert equal


@pytest.mark.usefixtures("switches")
@pytest.mark.parametrize("seed", range(4))
def test_after_many_changes_in_a_row_every_step_has_the_bits_of_the_graph(seed, monkeypatch):
    """Also other sizes and states; in memory whose end is guarded."""
    monkeypatch.setattr(workspace, "SMALL", 0)
    chosen = random.Random(seed)
    model = LanguageModel(chosen.choice([*CELLS, Leaky]), V, H, layers=chosen.choice([1, 2]), dropout=0.3)
    recorded, state, size = direct.Direct(model), None, B
    with poisoned(fenced_take):
        for _ in range(25):
            if chosen.random() < 0.5:
                chosen.choice(CHANGES)(model)
            if chosen.random() < 0.2:
                size, state = chosen.randint(1, 9), None
            equal, state = both(recorded, *batch(chosen.choice([T, T, 3]), size), state)
            assert equal
            model.train()


@pytest.mark.parametrize("change", [moved, one_moved, moved_gradient])
def test_without_the_check_of_addresses_these_changes_would_give_wrong_gradients(change, monkeypatch):
    model = LanguageModel("gru", V, H, layers=2)
    recorded, state = direct.Direct(model), None
    _, state = both(recorded, *batch(), state)
    monkeypatch.setattr(fixed.FixedTensors, "unchanged", lambda _: True)
    change(model)
    equal, _ = both(recorded, *batch(), state)
    assert not equal


def test_without_the_check_of_identity_a_step_would_leave_another_gradient_as_it_is(monkeypatch):
    model = LanguageModel("gru", V, H)
    recorded = direct.Direct(model)
    both(recorded, *batch(), None)
    monkeypatch.setattr(direct, "is_", lambda *_: True)
    one_other_gradient(model)
    equal, _ = both(recorded, *batch(), None)
    assert not equal


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


def embedded(model):
    model.embedding = torch.nn.Embedding(V, V)


def parametrized(model):
    torch.nn.utils.parametrizations.weight_norm(model.recurrent, "weight_hh_l0")


def partly_frozen(model):
    model.recurrent.bias_hh_l0.requires_grad_(False)


def bidirectional(model):
    model.recurrent = tidegate.GRU(V, H, bidirectional=True)


@pytest.mark.parametrize("change", [embedded, parametrized, partly_frozen, bidirectional, torch.nn.Module.bfloat16])
def test_a_model_that_is_no_longer_of_the_known_form_uses_the_graph(change):
    model = LanguageModel("gru", V, H)
    recorded = direct.Direct(model)
    assert recorded.set_gradients(*batch(), None) is not None
    change(model)
    assert recorded.set_gradients(*batch(), None) is None


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
