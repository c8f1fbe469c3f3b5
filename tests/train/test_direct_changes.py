"""Recorded steps when something changes between two of them: each has the bits of torch's graph, or uses the graph."""

import random

import pytest
import torch
from tests.engines.cpu.memory import fenced_take, poisoned
from tests.own_cell import Leaky
from tests.train.recorded import B, H, T, V, batch, both

import tidegate
from tidegate.cells import CELLS
from tidegate.engines.cpu import fixed, workspace
from tidegate.train import direct
from tidegate.train.model import LanguageModel


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
