import pytest
import torch

from tidegate.calculus import trace
from tidegate.cells import GRU, LSTM
from tidegate.errors import ArgumentError
from tidegate.verification.problem import OPTIONS, options_of, random_problem


def test_a_seed_and_a_size_make_the_same_problem_in_every_precision():
    exact, rounded = (random_problem(trace(GRU), dtype=dtype, seed=4) for dtype in (torch.float64, torch.float32))
    assert torch.equal(exact.call.weights.w_hh.float(), rounded.call.weights.w_hh)
    assert torch.equal(rounded.to(torch.float64).call.x, rounded.call.x.double())
    assert not torch.equal(exact.call.x, random_problem(trace(GRU), seed=5).call.x)


def test_an_option_changes_only_what_it_names():
    plain, lengths = random_problem(trace(GRU)), random_problem(trace(GRU), options=["lengths"])
    assert torch.equal(plain.call.weights.w_hh, lengths.call.weights.w_hh)
    assert plain.call.lengths is None
    assert int(lengths.call.lengths.max()) == 7


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_the_problem(option):
    plain, changed = (random_problem(trace(LSTM), options=o).call for o in ((), (option,)))
    fields = ("x", "states", "weights", "reverse", "lengths", "resets")
    assert any(repr(getattr(plain, f)) != repr(getattr(changed, f)) for f in fields)


def test_a_gru_cannot_be_projected():
    assert "projected" in options_of(trace(LSTM))
    assert "projected" not in options_of(trace(GRU))
    with pytest.raises(ArgumentError, match="element by element"):
        random_problem(trace(GRU), options=["projected"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"options": ["backward"]}, "`options` must be among reverse"), ({"sizes": (1, 2, 0, 3)}, "T, B, D, H >= 1")],
)
def test_a_wrong_argument_is_refused_with_a_message(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        random_problem(trace(GRU), **arguments)
