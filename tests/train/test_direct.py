"""Gradients without torch's graph: bit by bit those of `loss.backward()`, and of a whole run."""

import pytest
import torch

import tidegate
from tidegate.cells import CELLS
from tidegate.engines.cpu import kernels
from tidegate.train import direct
from tidegate.train.interrupt import Interrupt
from tidegate.train.model import LanguageModel, detach


class Leaky(tidegate.Cell):
    """n = tanh(W_n x + b_n + U_n h + c_n), h' = h / 2 + n / 2"""

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = tidegate.tanh(a.n + U.n(h))
        return (0.5 * h + 0.5 * n,), (n,)


def both(model, x, y, state):
    """(loss, state, gradients) without and with torch's graph, with the same random numbers."""
    found = []
    for graph in (False, True):
        model.zero_grad()
        torch.manual_seed(3)
        if graph:
            loss, after = model.loss(x, y, state)
            loss.backward()
            after = detach(after)
        else:
            loss, after = direct.Direct(model).set_gradients(x, y, state)
        states = (after,) if isinstance(after, torch.Tensor) else after
        found.append((loss.detach(), *states, *(p.grad.clone() for p in model.parameters())))
    return found, after


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("layers", "dropout"), [(1, 0.0), (2, 0.3)])
@pytest.mark.parametrize("cell", [*CELLS, Leaky])
def test_it_has_the_bits_of_the_graph(cell, layers, dropout, dtype):
    model = LanguageModel(cell, 11, 9, layers=layers, dropout=dropout).to(dtype)
    assert direct.usable(model, "cpu")
    state = None
    for _ in range(2):
        x, y = torch.randint(11, (7, 5)), torch.randint(11, (7, 5))
        y[6] = -100
        (ours, graph), state = both(model, x, y, state)
        assert len(ours) == len(graph)
        assert all(torch.equal(a, b) for a, b in zip(ours, graph))
        assert all(not t.requires_grad for t in ours)


def test_it_follows_torchs_precision_switch():
    model = LanguageModel("gru", 11, 20, layers=2)
    x, y = torch.randint(11, (7, 5)), torch.randint(11, (7, 5))
    found = {}
    for level in ("highest", "medium"):
        torch.set_float32_matmul_precision(level)
        try:
            (ours, graph), _ = both(model, x, y, None)
        finally:
            torch.set_float32_matmul_precision("highest")
        assert all(torch.equal(a, b) for a, b in zip(ours, graph))
        found[level] = ours
    assert torch.equal(found["highest"][1], found["medium"][1]) is not kernels.here().pairs


def test_a_planted_error_is_found(monkeypatch):
    model = LanguageModel("gru", 11, 9, layers=2, dropout=0.3)
    monkeypatch.setattr(direct, "mask", lambda y, rate: torch.empty_like(y).bernoulli_(1 - rate))
    (ours, graph), _ = both(model, torch.randint(11, (7, 5)), torch.randint(11, (7, 5)), None)
    assert not any(torch.equal(a, b) for a, b in zip(ours, graph))


@pytest.mark.parametrize("sampling", ["sequential", "random"])
def test_a_run_has_the_same_weights_with_and_without_a_graph(trainer_of, sampling):
    weights = []
    for graph in (False, True):
        trainer = trainer_of(sampling=sampling, dropout=0.2, layers=2, epochs=1)
        assert trainer.direct is not None
        if graph:
            trainer.direct = None
        trainer.train(Interrupt())
        weights.append(list(trainer.model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*weights))


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


def test_other_engines_use_the_graph(trainer_of):
    assert trainer_of(engine="eager").direct is None
    assert trainer_of(engine="cpu").direct is not None
